//! Addresses, masks and MACs as a Hardware gives them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The length of the prefix that a netmask stands for, when its ones come first.
pub fn prefix_length(netmask: IpAddr) -> Option<u32> {
    let (ones, trailing, bits) = match netmask {
        IpAddr::V4(mask) => (mask.to_bits().leading_ones(), mask.to_bits().trailing_zeros(), 32),
        IpAddr::V6(mask) => (mask.to_bits().leading_ones(), mask.to_bits().trailing_zeros(), 128),
    };
    (ones + trailing >= bits).then_some(ones)
}

/// Whether both lie in the same network of that prefix length.
pub fn same_network(a: IpAddr, b: IpAddr, prefix_length: u32) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let mask = u32::MAX.checked_shl(32 - prefix_length).unwrap_or(0);
            (a.to_bits() ^ b.to_bits()) & mask == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let mask = u128::MAX.checked_shl(128 - prefix_length).unwrap_or(0);
            (a.to_bits() ^ b.to_bits()) & mask == 0
        }
        _ => false,
    }
}

/// What a host's address cannot be, if it is that: the network's own address, its broadcast, a group, none at all.
pub fn no_host(address: IpAddr, prefix_length: u32) -> Option<&'static str> {
    if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
        return Some("no host's address");
    }
    let IpAddr::V4(address) = address else { return None };
    if address == Ipv4Addr::BROADCAST {
        return Some("no host's address");
    }
    // With /31 and /32 both ends are hosts (RFC 3021).
    let host_bits = (prefix_length < 31).then(|| u32::MAX >> prefix_length)?;
    match address.to_bits() & host_bits {
        0 => Some("the network's own address"),
        all if all == host_bits => Some("the network's broadcast address"),
        _ => None,
    }
}

/// An address, in the one way of writing it that everything understands.
pub fn address(text: &str) -> Option<IpAddr> {
    text.parse::<Ipv4Addr>().map(IpAddr::V4).or_else(|_| text.parse::<Ipv6Addr>().map(IpAddr::V6)).ok()
}

/// An IPv4 network and its prefix length, as `10.0.0.0/8`.
pub fn network(text: &str) -> Option<(Ipv4Addr, u32)> {
    let (address, length) = text.split_once('/')?;
    let length: u32 = Some(length).filter(|l| l.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
    Some((address.parse().ok()?, length)).filter(|_| length <= 32)
}

/// Whether the text is a MAC as the Hardware's CRD accepts it: lower case, colons; and the address of one card.
pub fn is_mac(text: &str) -> bool {
    let bytes: Vec<&str> = text.split(':').collect();
    let pair = |b: &&str| b.len() == 2 && b.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    if bytes.len() != 6 || !bytes.iter().all(pair) {
        return false;
    }
    let group = u8::from_str_radix(bytes[0], 16).is_ok_and(|first| first & 1 == 1);
    !group && text != "00:00:00:00:00:00"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        address(text).unwrap()
    }

    #[test]
    fn netmasks() {
        for (mask, length) in [
            ("255.255.255.192", 26),
            ("255.255.0.0", 16),
            ("0.0.0.0", 0),
            ("255.255.255.255", 32),
            ("ffff:ffff::", 32),
        ] {
            assert_eq!(prefix_length(ip(mask)), Some(length), "{mask}");
        }
        for mask in ["255.0.255.0", "0.0.0.255", "255.255.255.1", "ffff::1"] {
            assert_eq!(prefix_length(ip(mask)), None, "{mask}");
        }
    }

    #[test]
    fn networks() {
        assert!(same_network(ip("192.0.2.19"), ip("192.0.2.1"), 26));
        assert!(!same_network(ip("192.0.2.19"), ip("192.0.2.65"), 26));
        assert!(same_network(ip("192.0.2.19"), ip("10.0.0.1"), 0));
        assert!(!same_network(ip("192.0.2.19"), ip("192.0.2.18"), 32));
        assert!(same_network(ip("2001:db8::1"), ip("2001:db8::2"), 64));
        assert!(!same_network(ip("2001:db8::1"), ip("192.0.2.1"), 0));
        assert_eq!(network("10.0.0.0/8"), Some((Ipv4Addr::new(10, 0, 0, 0), 8)));
        for wrong in ["10.0.0.0", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/+8", "2001:db8::/32"] {
            assert_eq!(network(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn addresses_that_no_host_has() {
        assert_eq!(no_host(ip("192.0.2.0"), 24), Some("the network's own address"));
        assert_eq!(no_host(ip("192.0.2.63"), 26), Some("the network's broadcast address"));
        assert_eq!(no_host(ip("192.0.2.64"), 31), None);
        assert_eq!(no_host(ip("192.0.2.64"), 32), None);
        assert_eq!(no_host(ip("0.0.0.0"), 0), Some("no host's address"));
        assert_eq!(no_host(ip("10.0.0.1"), 0), None);
        assert_eq!(no_host(ip("224.0.0.1"), 24), Some("no host's address"));
        assert_eq!(no_host(ip("2001:db8::"), 64), None);
    }

    #[test]
    fn macs() {
        assert!(is_mac("02:00:00:00:00:0a"));
        for wrong in [
            "02:00:00:00:00:0A",
            "02-00-00-00-00-0a",
            "02:00:00:00:00",
            "01:00:5e:00:00:01",
            "",
            "00:00:00:00:00:00",
        ] {
            assert!(!is_mac(wrong), "{wrong}");
        }
    }
}
