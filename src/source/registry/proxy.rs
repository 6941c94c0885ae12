//! Which proxy, if any, a request goes through.
//!
//! One proxy for each scheme, and `NO_PROXY` as Go reads it: `*`, a host or domain with what is
//! below it, `.domain` with only what is below, an address, a network, each but the last with an
//! optional port. Loopback is always asked directly.

use std::net::IpAddr;

use super::url::Origin;
use crate::source::Proxies;

impl Proxies {
    /// The proxy for requests to `origin`.
    pub(super) fn of(&self, origin: &Origin) -> Option<&str> {
        let proxy = if origin.secure { &self.https } else { &self.http };
        let direct = origin.is_loopback() || self.is_direct(origin);
        proxy.as_deref().filter(|proxy| !direct && !proxy.is_empty())
    }

    fn is_direct(&self, origin: &Origin) -> bool {
        let host = origin.host.trim_start_matches('[').trim_end_matches([']', '.']);
        self.none_for
            .split([',', ' '])
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .any(|entry| matches(&entry.to_ascii_lowercase(), host, origin.port))
    }
}

fn matches(entry: &str, host: &str, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Some((network, bits)) = entry.split_once('/') {
        let Ok(address) = host.parse() else { return false };
        return network
            .parse()
            .is_ok_and(|network| bits.parse().is_ok_and(|bits| is_in(address, network, bits)));
    }
    if let Ok(address) = entry.trim_matches(['[', ']']).parse::<IpAddr>() {
        return host.parse() == Ok(address);
    }
    let (name, wanted) = match entry.rsplit_once(':') {
        Some((name, wanted)) => (name, wanted.parse().ok()),
        None => (entry, Some(port)),
    };
    let name = name.trim_matches(['[', ']']).trim_start_matches('*');
    let below = |domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    wanted == Some(port)
        && match name.strip_prefix('.') {
            Some(domain) => below(domain),
            None => host == name || below(name),
        }
}

fn is_in(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let (width, address, network) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => (32, u128::from(a.to_bits()), u128::from(n.to_bits())),
        (IpAddr::V6(a), IpAddr::V6(n)) => (128, a.to_bits(), n.to_bits()),
        _ => return false,
    };
    bits <= width && (bits == 0 || (address ^ network) >> (width - bits) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_directly(none_for: &str, host: &str) -> bool {
        let proxies = Proxies {
            http: Some("plain:1".to_owned()),
            https: Some("secure:1".to_owned()),
            none_for: none_for.to_owned(),
        };
        proxies.of(&Origin::new(true, host).expect(host)).is_none()
    }

    #[test]
    fn no_proxy_as_go_reads_it() {
        for (none_for, host, direct) in [
            ("", "a.example", false),
            ("*", "a.example", true),
            ("a.example", "a.example", true),
            ("A.Example", "a.example", true),
            ("a.example", "b.a.example", true),
            ("a.example", "ba.example", false),
            (".example", "a.example", true),
            (".a.example", "a.example", false),
            ("*.example", "a.example", true),
            ("a.example:5000", "a.example:5000", true),
            ("a.example:5000", "a.example", false),
            ("x, a.example", "a.example", true),
            ("10.0.0.0/8", "10.1.2.3:5000", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("10.0.0.0/33", "10.0.0.0", false),
            ("0.0.0.0/0", "11.1.2.3", true),
            ("10.1.2.3", "10.1.2.3", true),
            ("2001:db8::/32", "[2001:db8::1]", true),
            ("2001:db8::1", "[2001:db8::1]:5000", true),
            ("", "127.0.0.1:5000", true),
            ("", "localhost", true),
        ] {
            assert_eq!(asked_directly(none_for, host), direct, "{none_for:?} {host}");
        }
    }

    #[test]
    fn one_proxy_a_scheme() {
        let proxies =
            Proxies { http: Some("plain:1".to_owned()), https: None, none_for: String::new() };
        let origin = |secure| Origin::new(secure, "a.example").expect("a host");
        assert_eq!(proxies.of(&origin(false)), Some("plain:1"));
        assert_eq!(proxies.of(&origin(true)), None);
    }
}
