//! Addresses with the network that they are in.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The accepted forms of an IPv4 mask.
pub const IPV4_MASK: &str = "a mask like 255.255.255.0, or a prefix length of 1 to 32";
/// The accepted forms of an IPv6 mask.
pub const IPV6_MASK: &str = "a prefix length of 1 to 128, or a mask like ffff:ffff:ffff:ffff::";

/// An address of a host and the length of its network's prefix: `192.0.2.19/26`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    /// The host's address.
    pub address: IpAddr,
    /// How many bits of it name the network.
    pub prefix: u8,
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Subnet {
    /// Whether an address is in the same network.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && network_bits(self.address, self.prefix) == network_bits(address, self.prefix)
    }

    /// The address of the network itself, whose host part is zero.
    pub fn network(&self) -> IpAddr {
        from_bits(self.address, network_bits(self.address, self.prefix))
    }

    /// The address that every host of the network listens on. IPv6 has none.
    pub fn broadcast(&self) -> Option<IpAddr> {
        let IpAddr::V4(_) = self.address else { return None };
        let hosts = u128::from(u32::MAX.checked_shr(self.prefix.into()).unwrap_or(0));
        Some(from_bits(self.address, network_bits(self.address, self.prefix) | hosts))
    }

    /// Why the address can be no host of its network, if it cannot. Networks of one or two addresses have no address of
    /// their own (RFC 3021, RFC 6164).
    pub fn no_host(&self) -> Option<&'static str> {
        let width = if self.address.is_ipv4() { 32 } else { 128 };
        if self.prefix + 1 >= width {
            None
        } else if self.address == self.network() {
            Some("it is the address of the network itself")
        } else if Some(self.address) == self.broadcast() {
            Some("it is the broadcast address of its network")
        } else {
            None
        }
    }
}

/// Why an address can belong to no host at all, if it cannot.
pub fn no_unicast(address: IpAddr) -> Option<&'static str> {
    let broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    // 0.0.0.0/8 means "this network" (RFC 1122, 3.2.1.3).
    let this_network = matches!(address, IpAddr::V4(address) if address.octets()[0] == 0);
    if address.is_unspecified() || this_network {
        Some("it is no address of a host")
    } else if address.is_multicast() {
        Some("it is a multicast address")
    } else if broadcast {
        Some("it is the broadcast address")
    } else if address.is_loopback() {
        Some("it is a loopback address")
    } else if matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some()) {
        Some("it is an IPv4 address in IPv6 notation; write it as 192.0.2.1")
    } else {
        None
    }
}

/// Reads a mask in one of the accepted forms: `255.255.255.192`, `26`, `/26`, `ffff:ffff::`.
pub fn prefix_length(text: &str, ipv6: bool) -> Option<u8> {
    let width = if ipv6 { 128 } else { 32 };
    let digits = text.strip_prefix('/').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return digits.parse().ok().filter(|prefix| (1..=width).contains(prefix));
    }
    let bits = if ipv6 {
        u128::from(text.parse::<Ipv6Addr>().ok()?)
    } else {
        u128::from(u32::from(text.parse::<Ipv4Addr>().ok()?)) << 96
    };
    let prefix = bits.leading_ones();
    // Ones, then zeros, and nothing else: 255.0.255.0 is no mask.
    (prefix > 0 && prefix + bits.trailing_zeros().min(128) >= 128).then_some(prefix as u8)
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

fn from_bits(like: IpAddr, bits: u128) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::from(bits as u32).into(),
        IpAddr::V6(_) => Ipv6Addr::from(bits).into(),
    }
}

fn network_bits(address: IpAddr, prefix: u8) -> u128 {
    let width: u32 = if address.is_ipv4() { 32 } else { 128 };
    let host_bits = width - u32::from(prefix).min(width);
    let shifted = bits(address).checked_shr(host_bits).unwrap_or(0);
    shifted.checked_shl(host_bits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(address: &str, prefix: u8) -> Subnet {
        Subnet { address: address.parse().unwrap(), prefix }
    }

    #[test]
    fn masks_in_every_form() {
        for (text, ipv6, expected) in [
            ("255.255.255.192", false, Some(26)),
            ("255.255.255.255", false, Some(32)),
            ("128.0.0.0", false, Some(1)),
            ("26", false, Some(26)),
            ("/26", false, Some(26)),
            ("32", false, Some(32)),
            ("64", true, Some(64)),
            ("/128", true, Some(128)),
            ("ffff:ffff:ffff:ffff::", true, Some(64)),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true, Some(128)),
            // What cannot be right.
            ("0.0.0.0", false, None),
            ("0", false, None),
            ("33", false, None),
            ("255.0.255.0", false, None),
            ("0.0.0.255", false, None),
            ("255.255.255.0.0", false, None),
            ("255.255.255", false, None),
            ("", false, None),
            ("/", false, None),
            ("-1", false, None),
            ("+24", false, None),
            ("256", true, None),
            ("129", true, None),
            ("::", true, None),
            ("ffff::ffff", true, None),
            ("255.255.255.0", true, None),
            ("ffff::", false, None),
        ] {
            assert_eq!(prefix_length(text, ipv6), expected, "{text}");
        }
    }

    #[test]
    fn networks_and_their_hosts() {
        let one = subnet("192.0.2.19", 26);
        assert_eq!(one.network().to_string(), "192.0.2.0");
        assert_eq!(one.broadcast().unwrap().to_string(), "192.0.2.63");
        assert!(one.contains("192.0.2.62".parse().unwrap()));
        assert!(!one.contains("192.0.2.64".parse().unwrap()));
        assert!(!one.contains("::1".parse().unwrap()));
        assert_eq!(one.no_host(), None);
        assert!(subnet("192.0.2.0", 26).no_host().is_some());
        assert!(subnet("192.0.2.63", 26).no_host().is_some());
        assert_eq!(subnet("192.0.2.0", 31).no_host(), None);
        assert_eq!(subnet("192.0.2.0", 32).no_host(), None);
        assert_eq!(subnet("192.0.2.0", 32).broadcast().unwrap().to_string(), "192.0.2.0");
        assert!(subnet("2001:db8::", 64).no_host().is_some());
        assert_eq!(subnet("2001:db8::ffff", 112).no_host(), None);
        assert_eq!(subnet("2001:db8::", 127).no_host(), None);
        assert!(subnet("2001:db8::2", 64).contains("2001:db8::ffff:1".parse().unwrap()));
        assert!(!subnet("2001:db8::2", 64).contains("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(subnet("128.1.2.3", 1).network().to_string(), "128.0.0.0");
    }

    #[test]
    fn addresses_of_no_host() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "255.255.255.255",
            "224.0.0.1",
            "127.0.0.1",
            "::",
            "::1",
            "ff02::1",
            "::ffff:192.0.2.1",
        ] {
            assert!(no_unicast(text.parse().unwrap()).is_some(), "{text}");
        }
        for text in ["192.0.2.1", "10.0.0.0", "169.254.1.1", "fe80::1", "2001:db8::1", "fd00::1"] {
            assert_eq!(no_unicast(text.parse().unwrap()), None, "{text}");
        }
    }
}
