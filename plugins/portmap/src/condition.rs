//! Conditions in the words of nft(8): those that we know how to say to the kernel.
use crate::error::Error;
use plan::step::{Condition, Matched, Side};
use types::Prefix;

/// How many rules the values of several sets may make together, for each port.
const MOST: usize = 64;

/// Reads the conditions of one family; a text may be a part of one, or several.
pub(crate) fn read(ipv4: bool, texts: &[String]) -> Result<Vec<Condition>, Error> {
    let text = texts.join(" ");
    let words = words(&text);
    let mut rest = words.as_slice();
    let mut conditions = Vec::new();
    let refused =
        || Error::Condition { key: if ipv4 { "conditionsV4" } else { "conditionsV6" }, text: text.clone() };
    while !rest.is_empty() {
        conditions.push(take(ipv4, &mut rest).ok_or_else(refused)?);
    }
    let ways = |condition: &Condition| if condition.inverted { 1 } else { condition.any_of.len() };
    let rules = conditions.iter().map(ways).try_fold(1usize, usize::checked_mul);
    if rules.is_none_or(|rules| rules > MOST) {
        return Err(refused());
    }
    Ok(conditions)
}

/// Blanks separate words; braces and commas are words.
fn words(text: &str) -> Vec<String> {
    let mut spaced = String::new();
    for letter in text.chars() {
        if matches!(letter, '{' | '}' | ',') {
            spaced.extend([' ', letter, ' ']);
        } else {
            spaced.push(letter);
        }
    }
    spaced.split_whitespace().map(str::to_owned).collect()
}

/// Takes one condition off the words: a property, perhaps a comparison, and a value or several in braces.
fn take(ipv4: bool, rest: &mut &[String]) -> Option<Condition> {
    let family = if ipv4 { "ip" } else { "ip6" };
    let matched: fn(&str) -> Option<Matched> = match next(rest)? {
        word if word == family => match next(rest)? {
            "saddr" => |text| Some(Matched::Address(Side::Source, prefix(text)?)),
            "daddr" => |text| Some(Matched::Address(Side::Destination, prefix(text)?)),
            _ => return None,
        },
        "iifname" | "iif" => interface,
        "meta" => match next(rest)? {
            "mark" => mark,
            "iifname" | "iif" => interface,
            _ => return None,
        },
        "mark" => mark,
        _ => return None,
    };
    let is_of_family = |value: &Matched| match value {
        Matched::Address(_, prefix) => prefix.is_ipv4() == ipv4,
        Matched::Interface(_) | Matched::Mark(_) => true,
    };
    let condition = |any_of: Vec<Matched>, inverted| {
        any_of.iter().all(is_of_family).then_some(Condition { ipv4, any_of, inverted })
    };
    let inverted = match rest.first()?.as_str() {
        "!=" | "ne" => true,
        "==" | "eq" => false,
        _ => return condition(values(rest, matched)?, false),
    };
    next(rest)?;
    condition(values(rest, matched)?, inverted)
}

fn values(rest: &mut &[String], matched: fn(&str) -> Option<Matched>) -> Option<Vec<Matched>> {
    match next(rest)? {
        "{" => {}
        word => return Some(vec![matched(word)?]),
    }
    let mut values = Vec::new();
    loop {
        values.push(matched(next(rest)?)?);
        match next(rest)? {
            "," if rest.first().is_some_and(|word| word == "}") => {
                next(rest)?;
                return Some(values);
            }
            "," => {}
            "}" => return Some(values),
            _ => return None,
        }
    }
}

fn next<'a>(rest: &mut &'a [String]) -> Option<&'a str> {
    let (first, others) = rest.split_first()?;
    *rest = others;
    Some(first)
}

/// An address is a prefix of its whole length.
fn prefix(text: &str) -> Option<Prefix> {
    text.parse().ok().or_else(|| text.parse().ok().map(Prefix::host))
}

/// A name as it is, or in quotes; with `*` it would be many.
fn interface(text: &str) -> Option<Matched> {
    let name = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    (!name.contains('*')).then(|| name.parse().ok()).flatten().map(Matched::Interface)
}

fn mark(text: &str) -> Option<Matched> {
    let hex = text.strip_prefix("0x").map(|digits| u32::from_str_radix(digits, 16).ok());
    hex.unwrap_or_else(|| text.parse().ok()).map(Matched::Mark)
}
