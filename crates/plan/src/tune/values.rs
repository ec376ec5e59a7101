//! When two ways to write a kernel parameter are one value: the kernel shows it in its own.

/// Whether the kernel means the same by both: numbers word by word, whatever their base, lists of ports however they are put together, and
/// whatever is between the words.
pub(super) fn are_same(one: &str, other: &str) -> bool {
    let (mut words, mut others) = (one.split_whitespace(), other.split_whitespace());
    loop {
        match (words.next(), others.next()) {
            (None, None) => return true,
            (Some(this), Some(that)) if this == that || same_number(this, that) || same_list(this, that) => {}
            _ => return false,
        }
    }
}

fn same_number(this: &str, that: &str) -> bool {
    number(this).is_some_and(|this| number(that) == Some(this))
}

/// As the kernel reads it (`strtoul_lenient`, base 0).
fn number(text: &str) -> Option<i128> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (digits, base) = match (hex, digits.strip_prefix('0')) {
        (Some(hex), _) => (hex, 16),
        (None, Some(octal)) if !octal.is_empty() => (octal, 8),
        (None, _) => (digits, 10),
    };
    u64::from_str_radix(digits, base).ok().map(|number| sign * i128::from(number))
}

fn same_list(this: &str, that: &str) -> bool {
    let is_list = |text: &str| text.contains([',', '-']);
    (is_list(this) || is_list(that)) && list(this).is_some_and(|this| list(that) == Some(this))
}

/// What a list such as `8080,8082-8090` is of (`proc_do_large_bitmap`): first and last of each stretch, which the kernel makes as long as can be.
fn list(text: &str) -> Option<Vec<(u32, u32)>> {
    let stretch = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    let given: Option<Vec<(u32, u32)>> =
        text.split(',').filter(|text| !text.is_empty()).map(stretch).collect();
    let mut given = given?;
    given.sort_unstable();
    let mut joined: Vec<(u32, u32)> = Vec::new();
    for (first, last) in given {
        match joined.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => joined.push((first, last)),
        }
    }
    Some(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_same_however_it_is_written() {
        for (one, other) in [
            ("512", "512"),
            ("4096\t131072\t6291456", "4096 131072 6291456"),
            ("80", " 0x50 "),
            ("8", "010"),
            ("0", "0"),
            ("-1", "-1"),
            ("8080,8081", "8080-8081"),
            ("9,8080-8081,8082,", "8080-8082,9"),
            ("cubic", "cubic\n"),
            ("", ""),
        ] {
            assert!(are_same(one, other), "{one:?} {other:?}");
        }
        for (one, other) in [
            ("512", "513"),
            ("4096\t1", "4096"),
            ("4096", "4096 1"),
            ("10", "010"),
            ("1", "-1"),
            ("8080,8082", "8080-8082"),
            ("8080,", "8081"),
            ("cubic", "reno"),
        ] {
            assert!(!are_same(one, other), "{one:?} {other:?}");
        }
    }
}
