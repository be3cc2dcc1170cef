//! The two protocol eras: without sessions (2026-07-28), and with `initialize` (before it).

use std::fmt;

/// The version of the modern era.
pub const MODERN: &str = "2026-07-28";

/// Every version that is served over HTTP, newest first. 2024-11-05 has another transport there; it is served through
/// pipes, and to a client that asks for it nevertheless.
pub const SUPPORTED: [&str; 4] = [
    MODERN,
    LegacyVersion::V2025_11_25.as_str(),
    LegacyVersion::V2025_06_18.as_str(),
    LegacyVersion::V2025_03_26.as_str(),
];

/// How a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Era {
    /// Every request stands for itself.
    Modern,
    /// A connection begins with `initialize`.
    Legacy(LegacyVersion),
}

/// A version of the legacy era.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LegacyVersion {
    /// 2024-11-05, which many servers and clients that use pipes still speak.
    V2024_11_05,
    /// 2025-03-26, the only one with batches.
    V2025_03_26,
    /// 2025-06-18
    V2025_06_18,
    /// 2025-11-25
    V2025_11_25,
}

impl Era {
    /// The version, as the wire writes it.
    #[must_use]
    pub const fn version(self) -> &'static str {
        match self {
            Self::Modern => MODERN,
            Self::Legacy(version) => version.as_str(),
        }
    }
}

impl LegacyVersion {
    /// The newest: what is offered, and answered to a client that asks for a version we do not know.
    pub const LATEST: Self = Self::V2025_11_25;
    /// What is assumed of a peer that does not say: the last version that did not have to.
    pub const ASSUMED: Self = Self::V2025_03_26;

    /// As the wire writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
        }
    }

    /// Reads a version of this era.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::V2024_11_05, Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25];
        all.into_iter().find(|version| version.as_str() == text)
    }

    /// The answer to an `initialize` that asks for `requested`.
    #[must_use]
    pub fn negotiate(requested: &str) -> Self {
        Self::parse(requested).unwrap_or(Self::LATEST)
    }
}

impl fmt::Display for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.version())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initialize_gets_what_it_asks_for_or_the_newest() {
        assert_eq!(LegacyVersion::negotiate("2025-06-18"), LegacyVersion::V2025_06_18);
        assert_eq!(LegacyVersion::negotiate("2025-03-26"), LegacyVersion::V2025_03_26);
        assert_eq!(LegacyVersion::negotiate("2024-11-05"), LegacyVersion::V2024_11_05);
        for other in ["2024-10-07", MODERN, "", "2025-06-18 "] {
            assert_eq!(LegacyVersion::negotiate(other), LegacyVersion::V2025_11_25);
        }
    }
}
