//! URLs that no two readers take differently: https, a plain host, plain segments. Everything else is refused, so
//! there is nothing to normalise.

/// An address whose parts are plain.
pub(super) struct PlainUrl<'a> {
    /// In lower case.
    pub(super) host: String,
    /// Without the leading slash; never empty segments, `.`, `..` or escapes, but for [`is_title`] ones.
    pub(super) segments: Vec<&'a str>,
    /// After the question mark.
    pub(super) query: Option<&'a str>,
}

/// Reads `text` as the address of something in a site.
pub(super) fn read(text: &str) -> Option<PlainUrl<'_>> {
    let rest = without_scheme(text)?;
    let (authority, rest) = rest.split_once('/')?;
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    let segments: Vec<&str> = path.split('/').collect();
    let (last, inner) = segments.split_last()?;
    if !inner.iter().all(|segment| is_plain(segment)) || !(is_plain(last) || is_title(last)) {
        return None;
    }
    Some(PlainUrl { host: host(authority)?, segments, query })
}

/// The host of an address in a site, or of a bare host name.
pub(super) fn site_host(text: &str) -> Option<String> {
    let Some(rest) = without_scheme(text) else { return host(text) };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.strip_suffix('/').unwrap_or(path);
    if !path.is_empty() && !path.split('/').all(is_plain) {
        return None;
    }
    host(authority)
}

/// A host name in lower case: at least two labels, no port, no user, no trailing dot.
pub(super) fn host(text: &str) -> Option<String> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (text.len() <= 253 && text.contains('.') && text.split('.').all(label))
        .then(|| text.to_ascii_lowercase())
}

fn without_scheme(text: &str) -> Option<&str> {
    const SCHEME: &str = "https://";
    let (scheme, rest) = text.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(rest)
}

fn is_plain(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
        && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
}

/// Whether `segment` can be the title at the end of a page's address. Readers ignore it; what must not be in it is
/// anything that could end it: separators and dots in an escaped form, or an escaped escape.
pub(super) fn is_title(segment: &str) -> bool {
    let mut bytes = segment.bytes();
    if matches!(segment, "" | "." | "..") {
        return false;
    }
    while let Some(byte) = bytes.next() {
        let fine = match byte {
            b'%' => match (bytes.next().and_then(hex), bytes.next().and_then(hex)) {
                (Some(high), Some(low)) => {
                    let escaped = high * 16 + low;
                    escaped > b' ' && escaped != 0x7f && !b"./\\%".contains(&escaped)
                }
                _ => false,
            },
            _ => byte.is_ascii_alphanumeric() || b"-._~+!,:'()&=@$*".contains(&byte),
        };
        if !fine {
            return false;
        }
    }
    true
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
