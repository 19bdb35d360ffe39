//! Hardware addresses.

use std::fmt;

/// The accepted form.
pub const ACCEPTED: &str = "the MAC of a network card, as 52:54:00:12:34:56";

/// The hardware address of a network card, six bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mac([u8; 6]);

impl Mac {
    /// Reads `52:54:00:12:34:56` or `52-54-00-12-34-56`, in either case.
    pub fn parse(text: &str) -> Option<Self> {
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut bytes = [0; 6];
        let mut parts = text.split(separator);
        for byte in &mut bytes {
            let part =
                parts.next().filter(|part| part.len() == 2 && part.bytes().all(|c| c.is_ascii_hexdigit()))?;
            *byte = u8::from_str_radix(part, 16).ok()?;
        }
        parts.next().is_none().then_some(Self(bytes))
    }

    /// Why it can be no card's address, if it cannot.
    pub fn no_card(self) -> Option<&'static str> {
        if self.0 == [0; 6] {
            Some("it is all zeros")
        } else if self.0 == [0xff; 6] {
            Some("it is the broadcast address")
        } else if self.0[0] & 1 == 1 {
            Some("it is a multicast address")
        } else {
            None
        }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_mac() {
        for text in ["52:54:00:ab:cd:ef", "52:54:00:AB:CD:EF", "52-54-00-ab-CD-ef"] {
            assert_eq!(Mac::parse(text).unwrap().to_string(), "52:54:00:ab:cd:ef");
        }
        for text in [
            "",
            "52:54:00:ab:cd",
            "52:54:00:ab:cd:ef:01",
            "52:54:00:ab:cd:eg",
            "5:54:00:ab:cd:ef",
            "525400abcdef",
            "52:54-00:ab:cd:ef",
            "+2:54:00:ab:cd:ef",
        ] {
            assert_eq!(Mac::parse(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_of_no_card() {
        for text in ["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "33:33:00:00:00:01"] {
            assert!(Mac::parse(text).unwrap().no_card().is_some(), "{text}");
        }
        assert_eq!(Mac::parse("02:00:00:00:00:09").unwrap().no_card(), None);
    }
}
