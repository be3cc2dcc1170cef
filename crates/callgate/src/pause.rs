//! How long to leave somebody alone who does not take what they are sent.

/// A pause that grows with each attempt that failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    /// After the first, in milliseconds.
    pub(crate) first_ms: u64,
    /// How many times as long it is after each other.
    pub(crate) factor: u64,
    /// The longest.
    pub(crate) ms_max: u64,
}

impl Pause {
    /// After so many attempts, in milliseconds: between half of it and all, so that not everything is tried at one moment.
    pub(crate) fn ms(self, attempt: u32, random: &[u8; 16]) -> u64 {
        let longest = self.factor.saturating_pow(attempt.saturating_sub(1));
        let longest = longest.saturating_mul(self.first_ms).min(self.ms_max);
        let [a, b, ..] = *random;
        longest / 2 + longest * u64::from(u16::from_be_bytes([a, b])) / (2 * u64::from(u16::MAX))
    }
}
