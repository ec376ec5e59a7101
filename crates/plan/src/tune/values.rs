//! When two ways to write a kernel parameter are one value: the kernel shows it in its own.

/// Whether the kernel means the same by both: numbers word by word, whatever their base, and whatever is between the words.
pub(super) fn are_same(one: &str, other: &str) -> bool {
    let (mut words, mut others) = (one.split_whitespace(), other.split_whitespace());
    loop {
        match (words.next(), others.next()) {
            (None, None) => return true,
            (Some(this), Some(that)) if this == that || same_number(this, that) => {}
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
            ("cubic", "reno"),
        ] {
            assert!(!are_same(one, other), "{one:?} {other:?}");
        }
    }
}
