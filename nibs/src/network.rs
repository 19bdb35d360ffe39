//! Addresses in the forms that the Hardware's CRD and KKP take.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use common::network::subnet;

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

/// The length of the prefix that a netmask stands for. KKP takes masks alone, not the length itself.
pub fn prefix_length(mask: IpAddr) -> Option<u8> {
    subnet::prefix_length(&mask.to_string(), mask.is_ipv6())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        assert_eq!(network("10.0.0.0/8"), Some((Ipv4Addr::new(10, 0, 0, 0), 8)));
        for wrong in ["10.0.0.0", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/+8", "2001:db8::/32"] {
            assert_eq!(network(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn netmasks() {
        assert_eq!(prefix_length(address("255.255.255.192").unwrap()), Some(26));
        assert_eq!(prefix_length(address("ffff:ffff::").unwrap()), Some(32));
        assert_eq!(prefix_length(address("255.0.255.0").unwrap()), None);
    }
}
