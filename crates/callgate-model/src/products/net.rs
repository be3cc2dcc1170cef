//! Places on the network: the hosts that calls send something to, or make somebody else ask. They belong to no server and
//! to no site, so they exist whatever catalogs say, and catalogs can only point at the arguments that name them.
//!
//! A host is named by an address, `https://Files.example/x`. Readers of addresses disagree about odd ones, and whoever
//! follows the address may be another reader than this one: what not everybody reads the same names nothing (Z06). It
//! must not know policies, nor catalogs.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::target::{Obstacle, Resource, Target};
use crate::vocabulary::Vocabulary;

/// The kind of a host; its id is its name, with the port if that is not the usual one.
pub const HOST: &str = "Net::Host";

/// Longest address, in bytes.
pub const URL_BYTES_MAX: usize = 4096;
/// Longest name of a host, and of each part of it.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// What policies can name of it.
#[must_use]
pub fn vocabulary() -> Vocabulary {
    Vocabulary { target_kinds: [(HOST.to_owned(), None)].into(), ..Vocabulary::default() }
}

/// Whether `kind` is, or would be taken for one, of this module.
#[must_use]
pub fn has_kind(kind: &str) -> bool {
    kind.starts_with("Net::")
}

/// The host that the address `url` is of.
#[must_use]
pub fn host(url: &str) -> Target {
    match read(url) {
        Some(id) => Target::located(Resource::new(HOST, id), Vec::new()),
        None => Target::unresolved(HOST, "", Obstacle::UnknownForm, url),
    }
}

/// Whether `id` is how a host is called here.
#[must_use]
pub fn is_host(id: &str) -> bool {
    let is_read = |scheme: &str| read(&format!("{scheme}://{id}")).is_some_and(|read| read == id);
    is_read("https") || is_read("http")
}

fn read(url: &str) -> Option<String> {
    // Some readers skip blanks and take a backslash for a slash; then the host is another one.
    let is_odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
    if url.len() > URL_BYTES_MAX || url.contains(is_odd) {
        return None;
    }
    let (scheme, rest) = url.split_once("://")?;
    let usual_port = match scheme.to_ascii_lowercase().as_str() {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = split_port(authority)?;
    let host = canonical(&host.to_ascii_lowercase())?;
    match port.map(read_port) {
        None => Some(host),
        Some(None) => None,
        Some(Some(port)) if port == usual_port => Some(host),
        Some(Some(port)) => Some(format!("{host}:{port}")),
    }
}

/// The host and what follows its colon.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if !authority.starts_with('[') {
        let parts = authority.split_once(':');
        return Some(parts.map_or((authority, None), |(host, port)| (host, Some(port))));
    }
    let (inside, after) = authority.split_once(']')?;
    let host = authority.get(..inside.len() + 1)?;
    match after {
        "" => Some((host, None)),
        _ => Some((host, Some(after.strip_prefix(':')?))),
    }
}

fn read_port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_number)
}

/// A name in lower case, or a number, in its one spelling.
fn canonical(host: &str) -> Option<String> {
    if let Some(inside) = host.strip_prefix('[') {
        let inside = inside.strip_suffix(']')?;
        let address: Ipv6Addr = inside.parse().ok()?;
        // One of IPv4 in disguise has that one's spelling.
        let is_one = address.to_ipv4_mapped().is_none() && address.to_string() == inside;
        return is_one.then(|| host.to_owned());
    }
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.len() > NAME_BYTES_MAX || !host.split('.').all(is_label) {
        return None;
    }
    if host.rsplit('.').next().is_some_and(is_numeric) {
        let address: Ipv4Addr = host.parse().ok()?;
        return (address.to_string() == host).then(|| host.to_owned());
    }
    Some(host.to_owned())
}

/// Whether readers take a host that ends so for the number of a machine: `127.1`, `0x7f.1`, `2130706433`.
fn is_numeric(label: &str) -> bool {
    let digits = label.strip_prefix("0x");
    match digits {
        Some(hex) => hex.bytes().all(|b| b.is_ascii_hexdigit()),
        None => label.bytes().all(|b| b.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(url: &str) -> Option<String> {
        match host(url) {
            Target::Located(found) => {
                assert!(found.resource.kind == HOST && found.containers.is_empty());
                Some(found.resource.id)
            }
            Target::Unresolved(not) => {
                assert_eq!((not.kind.as_str(), not.obstacle), (HOST, Obstacle::UnknownForm));
                None
            }
        }
    }

    #[test]
    fn every_spelling_of_a_host_has_one_id() {
        for (url, expected) in [
            ("https://files.example", "files.example"),
            ("HTTPS://Files.Example/a/b?c=@d#e:f", "files.example"),
            ("https://files.example:443/x", "files.example"),
            ("http://files.example:80?x", "files.example"),
            ("http://files.example:443", "files.example:443"),
            ("https://files.example:8443#x", "files.example:8443"),
            ("https://xn--bcher-kva.example/bücher", "xn--bcher-kva.example"),
            ("https://my_host-1.example//evil.example/", "my_host-1.example"),
            ("http://localhost:3000/", "localhost:3000"),
            ("http://127.0.0.1", "127.0.0.1"),
            ("http://[::1]:8080/", "[::1]:8080"),
            ("http://[2001:DB8::1]", "[2001:db8::1]"),
            ("https://1.2.3.4.example", "1.2.3.4.example"),
        ] {
            assert_eq!(id(url).as_deref(), Some(expected), "{url}");
            assert!(is_host(expected), "{expected}");
        }
    }

    const NONE: &[&str] = &[
        // Other schemes, or none.
        "",
        "files.example",
        "//files.example/x",
        "/files.example",
        "file:///etc/passwd",
        "data:text/plain,x",
        "javascript:alert(1)",
        "ftp://files.example",
        "ssh://files.example",
        "git@files.example:a/b.git",
        "git+https://files.example",
        "https:files.example",
        "https:/files.example",
        "https:///files.example",
        "https//files.example",
        // Users, blanks, slashes, escapes.
        "https://good.example@evil.example",
        "https://a:b@evil.example",
        "https://@evil.example",
        "https://evil.example\\@good.example",
        "https:\\\\evil.example",
        "https:/\\evil.example",
        "https://good.example\\.evil.example",
        " https://files.example",
        "https://files.example ",
        "https://files.exa\tmple",
        "https://files.example/\n",
        "https://files.example/\u{0}",
        "https://files\u{200b}.example",
        "https://files.example/\u{2028}",
        "https://a b.example",
        "https://files%2eexample",
        "https://%66iles.example",
        "https://files.example%00.evil",
        // Names.
        "https://",
        "https:///x",
        "https://?x",
        "https://#x",
        "https://.",
        "https://files.example.",
        "https://.example",
        "https://files..example",
        "https://-a.example",
        "https://a-.example",
        "https://bücher.example",
        "https://ｆｉｌｅｓ.example",
        "https://files。example",
        "https://a,b.example",
        "https://*.example",
        "https://a|b.example",
        "https://ex\u{ad}ample.com",
        // Ports.
        "https://files.example:",
        "https://files.example:0",
        "https://files.example:0443",
        "https://files.example:65536",
        "https://files.example:+443",
        "https://files.example:44x",
        "https://files.example:443:443",
        "https://files.example: 443",
        "https://:443",
        // Numbers.
        "http://127.1",
        "http://2130706433",
        "http://0x7f.1",
        "http://0x7f000001",
        "http://0177.0.0.1",
        "http://127.0.0.01",
        "http://127.0.0.256",
        "http://127.0.0.1.",
        "http://0x",
        "http://a.0x1",
        "http://1.2.3.4.5",
        "http://a.b.1",
        "http://0",
        // Numbers in brackets.
        "http://[::1",
        "http://::1",
        "http://[::1]x",
        "http://[::1]:",
        "http://[0:0:0:0:0:0:0:1]",
        "http://[::ffff:127.0.0.1]",
        "http://[::ffff:7f00:1]",
        "http://[fe80::1%25eth0]",
        "http://[]",
        "http://[127.0.0.1]",
        "http://[v1.x]",
        "http://x[::1]",
        "http://[[::1]]",
    ];

    #[test]
    fn z06_what_not_everybody_reads_the_same_names_no_host() {
        let long = format!("https://files.example/{}", "x".repeat(URL_BYTES_MAX));
        let label = format!("https://{}.example", "x".repeat(LABEL_BYTES_MAX + 1));
        let name = format!("https://{}example", "x.".repeat(NAME_BYTES_MAX / 2));
        for url in NONE.iter().copied().chain([long.as_str(), &label, &name]) {
            assert_eq!(id(url), None, "{url}");
        }
        for odd in
            ["", "Files.example", "files.example/", "files.example:0443", "files.example.", "a@b"]
        {
            assert!(!is_host(odd), "{odd}");
        }
    }

    /// Texts that are nearly addresses.
    fn nearly() -> impl Strategy<Value = String> {
        let scheme = prop_oneof![4 => Just("https://"), 2 => Just("http://"), 1 => Just("HTTP://"), 1 => Just("https:/")];
        let host = prop_oneof![
            "[a-zA-Z0-9._%@:-]{0,16}",
            "[a-z]{1,5}\\.[a-z0-9x]{1,5}",
            "(0x|0)?[0-9a-f]{1,4}(\\.[0-9]{1,3}){0,3}",
            "\\[[0-9a-f:]{2,12}\\]",
        ];
        let port = prop_oneof![3 => Just(String::new()), 1 => ":[0-9]{0,6}"];
        let rest = prop_oneof![Just(String::new()), "[/?#\\\\][a-z@:/?#%]{0,8}"];
        (scheme, host, port, rest).prop_map(|(a, b, c, d)| format!("{a}{b}{c}{d}"))
    }

    proptest! {
        #[test]
        fn i13_any_text_is_a_host_or_none(text in "\\PC{0,64}") {
            let _target = host(&text);
        }

        /// Another reader finds the same host and port in everything that is accepted here.
        #[test]
        fn z06_two_readers_agree(text in nearly()) {
            if let Some(id) = id(&text) {
                let other: http::Uri = text.parse().unwrap();
                let name = other.host().unwrap().to_ascii_lowercase();
                let usual = if other.scheme_str() == Some("http") { 80 } else { 443 };
                let port = other.port_u16().filter(|port| *port != usual);
                let expected = port.map_or(name.clone(), |port| format!("{name}:{port}"));
                prop_assert_eq!(id.clone(), expected);
                let again = format!("{}://{id}", other.scheme_str().unwrap());
                prop_assert_eq!(host(&again), host(&text));
            }
        }
    }
}
