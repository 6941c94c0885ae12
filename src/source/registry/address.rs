//! Where an address is, and which addresses a request may go to.
//!
//! A good list, not a bad one: IPv6 is public inside `2000::/3` alone, and out of that and of IPv4
//! every block is taken that IANA's special-purpose registries call not globally reachable.
//! Addresses that carry an IPv4 address for a translator or a tunnel (mapped, NAT64, 6to4) are judged
//! by the one that they carry.
//!
//! What is judged are the addresses that a name was resolved to, and those are what is connected to
//! ([`super::resolver`]): so no spelling of an address and no second answer of a name server counts.
//! Behind a proxy the proxy resolves names; there only spelled addresses are judged.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    /// In the public Internet.
    Public,
    /// In a private network: RFC 1918, unique local, shared by a carrier, for benchmarks (as some
    /// tunnels use those).
    Private,
    /// This machine. An unspecified address connects to it too.
    Loopback,
    /// On the local link only, where clouds have their metadata services.
    LinkLocal,
    /// Nobody's: documentation, multicast, reserved.
    Reserved,
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public address",
            Self::Private => "a private address",
            Self::Loopback => "a private address (this machine)",
            Self::LinkLocal => "a private address (link-local)",
            Self::Reserved => "a reserved address",
        })
    }
}

/// Which addresses a request may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Any: the user named the host.
    Named,
    /// This machine alone: the name says so.
    Here,
    /// Public ones: somebody else named the host.
    Public,
    /// Public and private ones: somebody in a private network named the host.
    Neighbours,
    /// The same and this machine: somebody on this machine named the host.
    ThisMachine,
}

impl Reach {
    /// Whether a request may go to an address of `zone`.
    pub(super) fn allows(self, zone: Zone) -> bool {
        match self {
            Self::Named => true,
            Self::Here => zone == Zone::Loopback,
            Self::Public => zone == Zone::Public,
            Self::Neighbours => matches!(zone, Zone::Public | Zone::Private),
            Self::ThisMachine => matches!(zone, Zone::Public | Zone::Private | Zone::Loopback),
        }
    }

    /// What to say of an address of `zone` when a request may not go there, beside where it is.
    pub(super) fn refusal(self, zone: Zone) -> Option<&'static str> {
        if self.allows(zone) {
            return None;
        }
        Some(match (self, zone) {
            // Of somebody in a private network it would be in order.
            (Self::Public, Zone::Private) => {
                "; if the registry is in your network, `private_network = true` in its hosts.toml \
                 allows that"
            }
            (Self::Here, _) => ", and its name is one of this machine",
            _ => "",
        })
    }
}

/// Where `address` is.
pub(super) fn zone(address: IpAddr) -> Zone {
    match address {
        IpAddr::V4(v4) => zone_v4(v4),
        IpAddr::V6(v6) => zone_v6(v6),
    }
}

/// IANA IPv4 Special-Purpose Address Registry, and multicast (RFC 5771).
fn zone_v4(v4: Ipv4Addr) -> Zone {
    match v4.octets() {
        [0, 0, 0, 0] | [127, ..] => Zone::Loopback,
        [169, 254, ..] => Zone::LinkLocal,
        [10, ..]
        | [172, 16..=31, ..]
        | [192, 168, ..]
        | [100, 64..=127, ..]
        | [198, 18..=19, ..] => Zone::Private,
        // Port control and TURN relays: anycast, and globally reachable.
        [192, 0, 0, 9..=10] => Zone::Public,
        [0, ..] | [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 51, 100, _] | [203, 0, 113, _] => {
            Zone::Reserved
        }
        [224..=255, ..] => Zone::Reserved,
        _ => Zone::Public,
    }
}

/// IANA IPv6 Special-Purpose Address Registry, and what of IPv6 is unicast at all (RFC 4291).
fn zone_v6(v6: Ipv6Addr) -> Zone {
    let carried = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        zone_v4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Zone::Loopback,
        // IPv4-mapped, IPv4-translated and the old IPv4-compatible ones.
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0, 0, 0, 0, 0, 0, high, low] => carried(high, low),
        // NAT64 (RFC 6052); the second prefix is for use inside a network (RFC 8215), and only its
        // /96 form says where the IPv4 address is.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => carried(high, low),
        [0x64, 0xff9b, 1, ..] => Zone::Private,
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => carried(high, low),
        // Unique local, and site-local as they were once.
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Zone::Private,
        [0xfe80..=0xfebf, ..] => Zone::LinkLocal,
        // Documentation.
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Zone::Reserved,
        // IETF protocol assignments: of them only anycast services, AMT and AS112 are hosts that can
        // be reached. Teredo is among the others: it carries an address and port of anybody.
        [0x2001, 1, 0, 0, 0, 0, 0, 1..=3] | [0x2001, 3, ..] | [0x2001, 4, 0x112, ..] => {
            Zone::Public
        }
        [0x2001, 0..=0x1ff, ..] => Zone::Reserved,
        [0x2000..=0x3fff, ..] => Zone::Public,
        _ => Zone::Reserved,
    }
}

/// The address that a host spells out in its usual form.
pub(super) fn spelled_plainly(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(text) => text.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    }
}

/// The address that a host spells out in any form.
pub(super) fn spelled(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        // A zone says which link an address is on, not what kind of address it is.
        Some(text) => text.split('%').next()?.parse().ok().map(IpAddr::V6),
        None => numbers(host.trim_end_matches('.')).map(IpAddr::V4),
    }
}

/// An IPv4 address of one to four numbers, the last of which fills the rest; each is decimal, octal
/// (`0177`) or hexadecimal (`0x7f`): inet_aton(3).
fn numbers(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u32> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    if first.len() > 3 || first.iter().any(|part| *part > 255) {
        return None;
    }
    let rest = 32 - 8 * u32::try_from(first.len()).ok()?;
    if rest < 32 && last >> rest != 0 {
        return None;
    }
    let high = first.iter().zip([24, 16, 8]).map(|(part, shift)| part << shift);
    Some(Ipv4Addr::from_bits(high.sum::<u32>() + last))
}

fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    // Rust would take a sign too.
    let plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then(|| u32::from_str_radix(digits, radix).ok()).flatten()
}

/// Whether no name of the Internet can be spelled so.
pub(super) fn ends_in_a_number(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    !last.is_empty() && (last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone_of(text: &str) -> Zone {
        zone(text.parse().expect(text))
    }

    #[test]
    fn every_block_of_ianas_registries_at_both_ends() {
        for (zone, texts) in [
            (Zone::Loopback, "0.0.0.0 127.0.0.0 127.255.255.255 :: ::1"),
            (Zone::LinkLocal, "169.254.0.0 169.254.169.254 169.254.255.255 fe80:: febf::ffff"),
            (
                Zone::Private,
                "10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255 \
                 100.64.0.0 100.127.255.255 198.18.0.0 198.19.255.255 fc00:: fdff::1 fec0:: \
                 feff::1 64:ff9b:1:: 64:ff9b:1:ffff::a00:1",
            ),
            (
                Zone::Reserved,
                "0.0.0.1 0.255.255.255 192.0.0.0 192.0.0.8 192.0.0.11 192.0.0.170 192.0.0.255 \
                 192.0.2.0 192.0.2.255 192.88.99.0 192.88.99.255 198.51.100.0 198.51.100.255 \
                 203.0.113.0 203.0.113.255 224.0.0.0 239.255.255.255 240.0.0.0 255.255.255.255 \
                 100:: 100:0:0:1:: 2001:: 2001:0:1::1 2001:1:: 2001:1::4 2001:2::1 2001:10::1 \
                 2001:20::1 2001:1ff:ffff::1 2001:db8:: 2001:db8:ffff::1 3fff:: 3fff:fff::1 \
                 4000:: 5f00::1 1fff::1 ff02::1 ffff::1 fe00::1 fe7f::1 64:ff9b:2::1 1::1",
            ),
            (
                Zone::Public,
                "1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 \
                 128.0.0.0 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.0.9 \
                 192.0.0.10 192.0.1.0 192.0.3.0 192.88.98.255 192.88.100.0 192.167.255.255 \
                 192.169.0.0 198.17.255.255 198.20.0.0 198.51.99.255 198.51.101.0 203.0.112.255 \
                 203.0.114.0 223.255.255.255 2000:: 2001:1::1 2001:1::2 2001:1::3 2001:3::1 \
                 2001:4:112::1 2001:200::1 2001:db7::1 2001:db9::1 2003::1 3ffe::1 3fff:1000::1",
            ),
        ] {
            for text in texts.split_whitespace() {
                assert_eq!(zone_of(text), zone, "{text}");
            }
        }
    }

    #[test]
    fn what_carries_an_address_is_judged_by_that() {
        for (carried, zone) in [
            ("10.0.0.5", Zone::Private),
            ("127.0.0.1", Zone::Loopback),
            ("169.254.169.254", Zone::LinkLocal),
            ("203.0.113.7", Zone::Reserved),
            ("8.8.8.8", Zone::Public),
        ] {
            let v4: Ipv4Addr = carried.parse().expect("an address");
            let [a, b, c, d] = v4.octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            for prefix in ["::ffff:", "::ffff:0:", "::", "64:ff9b::"] {
                assert_eq!(zone_of(&format!("{prefix}{carried}")), zone, "{prefix}{carried}");
            }
            assert_eq!(zone_of(&format!("2002:{high:x}:{low:x}::1")), zone, "6to4 {carried}");
        }
    }

    #[test]
    fn who_may_go_where() {
        let zones = [Zone::Public, Zone::Private, Zone::Loopback, Zone::LinkLocal, Zone::Reserved];
        for (reach, allowed) in [
            (Reach::Named, [true, true, true, true, true]),
            (Reach::Here, [false, false, true, false, false]),
            (Reach::Public, [true, false, false, false, false]),
            (Reach::Neighbours, [true, true, false, false, false]),
            (Reach::ThisMachine, [true, true, true, false, false]),
        ] {
            assert_eq!(zones.map(|zone| reach.allows(zone)), allowed, "{reach:?}");
        }
    }
}
