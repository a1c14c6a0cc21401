//! Owns what an address may look like, and what it resolves to. Knows nothing of listening.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use crate::error::{Error, ErrorKind};

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// The addresses that a name has, in the order in which to try them: IPv4 first.
    Tcp(Vec<SocketAddr>),
    /// A socket file.
    Unix(PathBuf),
}

const FORMS: &str = "an address is HOST:PORT, [V6]:PORT or unix:PATH";

impl Address {
    /// Parses and resolves; a name may ask the system's resolver, and so block.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Error::new(ErrorKind::InvalidAddress, format!("address {text:?}: {why}; {FORMS}"));
        if text.contains('\0') {
            return Err(refuse("it has a NUL byte in it"));
        }
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                return Err(refuse("no path is given"));
            }
            return Ok(Address::Unix(PathBuf::from(path)));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(refuse("no port is given"));
        };
        if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(refuse("the port is not a number"));
        }
        let Ok(port) = port.parse::<u16>() else {
            return Err(refuse("the port is above 65535"));
        };
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let name = bracketed.unwrap_or(host);
        if name.is_empty() {
            return Err(refuse("no host is given; 0.0.0.0 and [::] are all interfaces"));
        }
        if bracketed.is_none() && name.contains(':') {
            return Err(refuse("an IPv6 address stands in brackets"));
        }
        if bracketed.is_some() && !name.contains(':') {
            return Err(refuse("only an IPv6 address stands in brackets"));
        }
        let resolved = (name, port).to_socket_addrs();
        let mut addresses: Vec<_> =
            resolved.map_err(|error| refuse(&format!("resolving {name:?}: {error}")))?.collect();
        addresses.sort_by_key(SocketAddr::is_ipv6);
        addresses.dedup();
        if addresses.is_empty() {
            return Err(refuse("the host has no address"));
        }
        Ok(Address::Tcp(addresses))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_each_form_is_taken() {
        assert_eq!(Address::parse("127.0.0.1:80").ok(), Some(Address::Tcp(vec![([127, 0, 0, 1], 80).into()])));
        assert_eq!(Address::parse("[::1]:0").ok(), Some(Address::Tcp(vec![([0, 0, 0, 0, 0, 0, 0, 1], 0).into()])));
        assert_eq!(Address::parse("unix:/run/x.sock").ok(), Some(Address::Unix("/run/x.sock".into())));
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "no port"),
            ("localhost", "no port"),
            (":3001", "no host"),
            ("[]:1", "no host"),
            ("::1:3001", "in brackets"),
            ("[127.0.0.1]:1", "only an IPv6"),
            ("127.0.0.1:", "not a number"),
            ("127.0.0.1:+1", "not a number"),
            ("127.0.0.1:65536", "above 65535"),
            ("127.0.0.1:99999999999999999999", "above 65535"),
            ("unix:", "no path"),
            ("a\0b:1", "NUL"),
        ] {
            let error = Address::parse(text).expect_err(text);
            assert_eq!(error.kind(), ErrorKind::InvalidAddress, "{text:?}");
            assert!(error.to_string().contains(why), "{error} does not say {why:?}");
        }
    }
}
