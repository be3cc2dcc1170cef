//! Spaces and pages. A page's id says nothing about its space, and the space in its address is decoration: the id
//! alone decides what Confluence shows.

use super::{Place, Unknown, host_is, is_number, site_resource, url};
use crate::products::atlassian::Site;

/// The space that `text` names by its key.
pub(super) fn space(text: &str, site: &Site) -> Result<Place, Unknown> {
    if is_number(text) {
        return Err(Unknown::Opaque(format!("{}/{text}", site.alias())));
    }
    let key = space_key(text).ok_or(Unknown::Form)?;
    Ok((format!("{}/{key}", site.alias()), vec![site_resource(site)]))
}

/// The canonical form of a space key: Confluence does not tell cases apart, so ordinary keys are in upper case, as
/// people write them, and personal ones in lower case.
pub(super) fn space_key(text: &str) -> Option<String> {
    if !(1..=255).contains(&text.len()) {
        return None;
    }
    if let Some(person) = text.strip_prefix('~') {
        let well_formed = !person.is_empty()
            && person.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:@".contains(&b));
        return well_formed.then(|| text.to_ascii_lowercase());
    }
    let well_formed = text.bytes().all(|b| b.is_ascii_alphanumeric())
        && text.bytes().any(|b| b.is_ascii_alphabetic());
    well_formed.then(|| text.to_ascii_uppercase())
}

/// The page that `text` names: always opaque, in its one spelling.
pub(super) fn page(text: &str, site: &Site) -> Result<Place, Unknown> {
    let id = match page_id(text) {
        Some(id) => id,
        None => {
            let address = url::read(text).ok_or(Unknown::Form)?;
            let id = id_in(&address).ok_or(Unknown::Form)?;
            host_is(site, &address.host)?;
            id
        }
    };
    Err(Unknown::Opaque(format!("{}/{id}", site.alias())))
}

/// The id that a number or the key of a tiny link gives.
pub(super) fn page_id(text: &str) -> Option<String> {
    if is_number(text) {
        return Some(text.to_owned());
    }
    if text.bytes().all(|b| b.is_ascii_digit()) || is_attachment(text) {
        return None;
    }
    untiny(text.strip_prefix("x/").unwrap_or(text))
}

/// `att123` is an attachment, though it could be read as the key of a tiny link.
fn is_attachment(text: &str) -> bool {
    text.strip_prefix("att").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()))
}

fn id_in(address: &url::PlainUrl<'_>) -> Option<String> {
    let (wiki, segments) = address.segments.split_first()?;
    if *wiki != "wiki" {
        return None;
    }
    let number = |id: &str| is_number(id).then(|| id.to_owned());
    match (segments, address.query) {
        (["x", key], None) => untiny(key),
        (["spaces", _, "pages" | "whiteboard" | "database" | "folder", id], None) => number(id),
        (["spaces", _, "pages", id, _title], None) => number(id),
        (["spaces", _, "blog", year, month, day, id, _title], None)
            if [year, month, day].iter().all(|part| part.bytes().all(|b| b.is_ascii_digit())) =>
        {
            number(id)
        }
        (["pages", "viewpage.action"], Some(query)) => number(query.strip_prefix("pageId=")?),
        _ => None,
    }
}

const TINY_DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

/// The page id in the key of a tiny link: base 64 over its bytes, least first, trailing zeros left out. Atlassian's
/// alphabet has `_` for `+` and `-` for `/`, the other way round than RFC 4648. Only the one shortest key of an id is
/// taken.
pub(super) fn untiny(key: &str) -> Option<String> {
    if !(1..=11).contains(&key.len()) || key.ends_with('A') {
        return None;
    }
    let mut id: u128 = 0;
    for (index, digit) in key.bytes().enumerate() {
        let value = TINY_DIGITS.iter().position(|known| *known == digit)?;
        let bits = u32::try_from(value).ok()?;
        // Groups of four digits are three bytes, most significant digit first, in a number with its least byte first.
        for bit in 0..6 {
            if bits & (1 << (5 - bit)) != 0 {
                let at = index * 6 + bit;
                id |= 1 << (at / 8 * 8 + (7 - at % 8));
            }
        }
    }
    u64::try_from(id).ok().map(|id| id.to_string()).filter(|id| is_number(id))
}
