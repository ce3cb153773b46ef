//! The subject of a certificate as text. Only of certificates that were verified: the signature vouches for the form.

use std::fmt::Write as _;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const VERSION: u8 = 0xa0;
const BMP_STRING: u8 = 0x1e;
const TEXTS: [u8; 4] = [0x0c, 0x13, 0x14, 0x16];

/// The attribute types that have names in RFC 2253; every other is shown by its number.
const NAMES: &[(&[u8], &str)] = &[
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
];

/// The subject of a certificate in DER, in the form of RFC 2253, last part first; none where it is not understood.
pub(super) fn subject(certificate: &[u8]) -> Option<String> {
    let (certificate, _) = take(certificate, SEQUENCE)?;
    let (mut rest, _) = take(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = next(rest)?.2;
    }
    // The serial number, the algorithm, the issuer, the validity.
    for _ in 0..4 {
        rest = next(rest)?.2;
    }
    let (mut names, _) = take(rest, SEQUENCE)?;
    let mut parts = Vec::new();
    while !names.is_empty() {
        let (set, later) = take(names, SET)?;
        parts.push(part(set)?);
        names = later;
    }
    parts.reverse();
    Some(parts.join(","))
}

/// The attributes of one part, with `+` between them.
fn part(mut set: &[u8]) -> Option<String> {
    let mut text = String::new();
    while !set.is_empty() {
        let (attribute, later) = take(set, SEQUENCE)?;
        let (kind, value) = take(attribute, OBJECT_IDENTIFIER)?;
        if !text.is_empty() {
            text.push('+');
        }
        let (tag, content, _) = next(value)?;
        let content_text = text_of(tag, content);
        match (NAMES.iter().find(|(number, _)| *number == kind), content_text) {
            (Some((_, name)), Some(content)) => {
                let _ = write!(text, "{name}={}", escaped(&content));
            }
            // What has no name, or is no text, is shown as the bytes that it is.
            _ => {
                let _ = write!(text, "{}=#", dotted(kind)?);
                let whole = value.get(..value.len() - next(value)?.2.len())?;
                for byte in whole {
                    let _ = write!(text, "{byte:02x}");
                }
            }
        }
        set = later;
    }
    Some(text)
}

fn text_of(tag: u8, content: &[u8]) -> Option<String> {
    if TEXTS.contains(&tag) {
        return String::from_utf8(content.to_vec()).ok();
    }
    if tag == BMP_STRING {
        let units: Vec<u16> = content
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |unit, byte| unit << 8 | u16::from(*byte)))
            .collect();
        return String::from_utf16(&units).ok();
    }
    None
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (at, character) in text.chars().enumerate() {
        let is_edge = (at == 0 && matches!(character, ' ' | '#')) || (at == last && character == ' ');
        if is_edge || matches!(character, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

fn dotted(number: &[u8]) -> Option<String> {
    let mut arcs: Vec<u64> = Vec::new();
    let mut arc = 0_u64;
    for byte in number {
        arc = arc.checked_mul(128)? | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            arcs.push(arc);
            arc = 0;
        }
    }
    let (first, later) = arcs.split_first()?;
    let top = (*first / 40).min(2);
    let mut text = format!("{top}.{}", first - top * 40);
    for arc in later {
        let _ = write!(text, ".{arc}");
    }
    Some(text)
}

/// The content of the element in front, which must have this tag, and what follows it.
fn take(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = next(bytes)?;
    (tag == wanted).then_some((content, rest))
}

/// Tag and content of the element in front, and what follows it.
fn next(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, short], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}
