//! Where a PostgreSQL database is, and why it could not be opened.

use std::fmt;
use std::net::IpAddr;

use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use thiserror::Error;
use url::Url;

/// The port, if the address names none.
const PORT: u16 = 5_432;

/// Where a database is, and how to get in. What is far is asked over TLS only, by a certificate of its name.
#[derive(Clone)]
pub struct Address {
    options: PgConnectOptions,
}

impl Address {
    /// Of `postgres://USER@HOST:PORT/DATABASE`, with `?sslrootcert=FILE` if need be; the password if it is not in there. What the
    /// environment says of PostgreSQL does not count where the address could say it: it is no configuration of ours.
    ///
    /// # Errors
    /// [`PostgresError::Address`], [`PostgresError::Unprotected`].
    pub fn new(url: &str, password: Option<&str>) -> Result<Self, PostgresError> {
        let incomplete = |_| PostgresError::Address;
        let parsed = Url::parse(url).map_err(|_error| PostgresError::Address)?;
        let is_whole = parsed.host_str().is_some_and(|host| !host.is_empty())
            && !parsed.username().is_empty()
            && parsed.path().len() > 1;
        if !is_whole || !["postgres", "postgresql"].contains(&parsed.scheme()) {
            return Err(PostgresError::Address);
        }
        let options: PgConnectOptions = url.parse().map_err(incomplete)?;
        let options = options.port(parsed.port().unwrap_or(PORT));
        let is_near = options.get_socket().is_some() || is_near(options.get_host());
        let options = if parsed.query_pairs().any(|(name, _)| name == "sslmode") {
            options
        } else {
            options.ssl_mode(if is_near { PgSslMode::Prefer } else { PgSslMode::VerifyFull })
        };
        if !is_near && !matches!(options.get_ssl_mode(), PgSslMode::VerifyFull) {
            return Err(PostgresError::Unprotected);
        }
        let options = match parsed.password() {
            Some(_) => options,
            None => options.password(password.unwrap_or_default()),
        };
        Ok(Self { options: options.application_name("callgate").disable_statement_logging() })
    }

    pub(super) fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }
}

/// Whether that is this machine.
fn is_near(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    host == "localhost" || address.is_ok_and(|address: IpAddr| address.is_loopback())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.options.get_database().unwrap_or_default();
        let (host, port) = (self.options.get_host(), self.options.get_port());
        write!(f, "the PostgreSQL database `{database}` at {host}:{port}")
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // There may be a password in it.
        fmt::Display::fmt(self, f)
    }
}

/// Why a PostgreSQL database could not be opened.
#[derive(Debug, Error)]
pub enum PostgresError {
    /// It was written by a newer version of this program.
    #[error(
        "the PostgreSQL database has schema version {found}, and this program knows versions up to {known}"
    )]
    Newer {
        /// Its version.
        found: i64,
        /// The latest version known.
        known: i64,
    },
    /// It is to be read, and has no evidence or an older version's.
    #[error(
        "the PostgreSQL database has schema version {found}, and only a gateway may bring it to version {known}"
    )]
    Older {
        /// Its version.
        found: i64,
        /// The version needed.
        known: i64,
    },
    /// Something is missing of its address.
    #[error(
        "the address of the PostgreSQL database has to say all of `postgres://USER@HOST:PORT/DATABASE`"
    )]
    Address,
    /// What is sent could be read or changed on its way.
    #[error(
        "the PostgreSQL database is on another machine: leave `sslmode` out of its address, or say `sslmode=verify-full`"
    )]
    Unprotected,
    /// It cannot be reached or used. Its address is not told: there may be a password in it.
    #[error("cannot use the PostgreSQL database")]
    Database(#[from] sqlx::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_all_and_what_is_far_is_protected() {
        let of = |url: &str| Address::new(url, None).map(|one| one.options.get_ssl_mode());
        let near =
            ["postgres://u@127.0.0.1/d", "postgres://u@localhost:1/d", "postgres://u@[::1]/d"];
        for url in near {
            assert!(matches!(of(url), Ok(PgSslMode::Prefer)), "{url}");
        }
        assert!(matches!(of("postgres://u@db.example/d"), Ok(PgSslMode::VerifyFull)));
        let full = of("postgres://u@db.example/d?sslmode=verify-full");
        assert!(matches!(full, Ok(PgSslMode::VerifyFull)));
        for weak in ["disable", "allow", "prefer", "require", "verify-ca"] {
            let url = format!("postgres://u@db.example/d?sslmode={weak}");
            assert!(matches!(of(&url), Err(PostgresError::Unprotected)), "{weak}");
        }
        let lacking = [
            "postgres://u@127.0.0.1",
            "postgres://127.0.0.1/d",
            "mysql://u@127.0.0.1/d",
            "postgres://",
            "x",
        ];
        for url in lacking {
            assert!(matches!(of(url), Err(PostgresError::Address)), "{url}");
        }
    }

    #[test]
    fn i7_the_password_in_an_address_is_not_told() {
        let address = Address::new("postgres://u:canary@127.0.0.1:1/d", Some("canary")).unwrap();
        let told = format!("{address} {address:?}");
        assert!(told.contains("`d` at 127.0.0.1:1") && !told.contains("canary"), "{told}");
    }
}
