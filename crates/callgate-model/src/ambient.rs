//! What a pure core must be given: the time and random bytes.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// The source of time and randomness. The binary has the real one, tests have their own.
pub trait Ambient: Send + Sync {
    /// The current time.
    fn now(&self) -> Timestamp;

    /// Sixteen bytes nobody can guess.
    fn random(&self) -> [u8; 16];

    /// A new id: time-ordered, unguessable enough to name a thing, never to authorise it.
    fn id(&self) -> Id {
        Id::new(self.now(), self.random())
    }
}

/// A day, in milliseconds.
pub const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// A moment, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `milliseconds` after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_unix_ms(milliseconds: i64) -> Self {
        Self(milliseconds)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// Whether RFC 3339 has a form for it: its year has four digits.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        -62_167_219_200_000 <= self.0 && self.0 <= 253_402_300_799_999
    }

    /// The moment so many milliseconds later.
    #[must_use]
    pub fn after_ms(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(i64::try_from(milliseconds).unwrap_or(i64::MAX)))
    }

    /// The moment so many milliseconds earlier.
    #[must_use]
    pub fn before_ms(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_sub(i64::try_from(milliseconds).unwrap_or(i64::MAX)))
    }

    /// Milliseconds from `earlier` to this moment; zero if it is not earlier.
    #[must_use]
    pub fn ms_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// Reads RFC 3339.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok().map(Self)
    }
}

/// RFC 3339 in UTC with milliseconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(moment) = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
        else {
            return write!(f, "{}ms", self.0);
        };
        let (date, time) = (moment.date(), moment.time());
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            time.hour(),
            time.minute(),
            time.second(),
            time.millisecond()
        )
    }
}

/// A UUID of version 7 (RFC 9562): sorts by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Id(Uuid);

impl Id {
    /// The id for `now` and `random`.
    #[must_use]
    pub fn new(now: Timestamp, random: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, ..] = random;
        let milliseconds = u64::try_from(now.0).unwrap_or(0);
        Self(
            uuid::Builder::from_unix_timestamp_millis(
                milliseconds,
                &[a, b, c, d, e, f, g, h, i, j],
            )
            .into_uuid(),
        )
    }

    /// Reads the hyphenated form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Timestamp> for String {
    fn from(moment: Timestamp) -> Self {
        moment.to_string()
    }
}

impl TryFrom<String> for Timestamp {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("expected a time as RFC 3339 has it")
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for Id {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("expected a UUID")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_prints_as_rfc_3339_and_back() {
        let moment = Timestamp::from_unix_ms(1_795_600_000_123);
        assert_eq!(moment.to_string(), "2026-11-25T09:46:40.123Z");
        assert_eq!(Timestamp::parse(&moment.to_string()), Some(moment));
        assert_eq!(moment.before_ms(500).to_string(), "2026-11-25T09:46:39.623Z");
        for (edge, beyond) in [("0000-01-01T00:00:00.000Z", -1), ("9999-12-31T23:59:59.999Z", 1)] {
            let last = Timestamp::parse(edge).unwrap();
            assert!(last.is_writable() && last.to_string() == edge);
            assert!(!Timestamp::from_unix_ms(last.unix_ms() + beyond).is_writable());
        }
    }

    #[test]
    fn ids_sort_by_time() {
        let early = Id::new(Timestamp::from_unix_ms(1_000), [255; 16]);
        let late = Id::new(Timestamp::from_unix_ms(2_000), [0; 16]);
        assert!(early < late);
        assert_eq!(Id::parse(&early.to_string()), Some(early));
    }
}
