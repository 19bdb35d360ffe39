//! Figures as people read them.

use std::time::Duration;

/// `301,989,888`
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1.5 GiB`
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Megabytes in a second.
pub(crate) fn rate(bytes: u64, elapsed: Duration) -> f64 {
    bytes as f64 / 1e6 / elapsed.as_secs_f64().max(0.001)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_exact() {
        assert_eq!(
            ["0", "999", "1,000", "301,989,888"],
            [0, 999, 1000, 301_989_888].map(grouped).each_ref().map(|t| t.as_str())
        );
        assert_eq!(
            ["1023 bytes", "1.0 KiB", "1.0 MiB", "1.5 GiB"],
            [1023, 1024, (1 << 20) - 1, 3 << 29].map(size).each_ref().map(|t| t.as_str())
        );
        assert_eq!(rate(310_000_000, Duration::from_secs(1)), 310.0);
    }
}
