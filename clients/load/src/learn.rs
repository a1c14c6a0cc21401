//! Learns what an HTTP server answers: one exchange, cut at the length that the reply's head gives. Knows nothing of
//! load.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::dial::Dialer;

const REPLY_LIMIT: Duration = Duration::from_secs(10);
const LARGEST: usize = 1024 * 1024;

/// The request: the least that HTTP/1.1 asks for.
pub(crate) fn http_request(server: SocketAddr) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: {server}\r\n\r\n").into_bytes()
}

/// The reply to it, which every later one is compared with.
pub(crate) fn http_reply(server: SocketAddr, request: &[u8]) -> Result<Vec<u8>> {
    let stream = Dialer::new(server, 1)?.open()?;
    exchange(stream, request).with_context(|| format!("asking {server} for its reply"))
}

fn exchange(mut stream: TcpStream, request: &[u8]) -> Result<Vec<u8>> {
    stream.set_read_timeout(Some(REPLY_LIMIT))?;
    stream.write_all(request)?;
    let mut reply = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let len = stream.read(&mut buffer)?;
        if len == 0 {
            bail!("it closed the connection after {} bytes", reply.len());
        }
        reply.extend_from_slice(&buffer[..len]);
        match whole(&reply)? {
            Some(due) if reply.len() == due => return Ok(reply),
            Some(due) if reply.len() > due => bail!("{} bytes came after the reply", reply.len() - due),
            _ if reply.len() > LARGEST => bail!("the reply has more than {LARGEST} bytes"),
            _ => {}
        }
    }
}

/// How long the reply is that begins so, if its head is complete.
fn whole(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let lines = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    if !lines.starts_with("http/1.1 200") {
        bail!("it is no HTTP/1.1 200: {}", lines.lines().next().unwrap_or_default());
    }
    let length = lines.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.context("it has no Content-Length")?.trim();
    let length: usize = length.parse().with_context(|| format!("its Content-Length is `{length}`"))?;
    Ok(Some(head + 4 + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_as_long_as_its_head_says() -> Result<()> {
        let reply = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\ncontent-length: 6\r\n\r\nhello\n";
        assert_eq!(whole(reply)?, Some(reply.len()));
        assert_eq!(whole(&reply[..20])?, None);
        assert!(whole(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").is_err());
        assert!(whole(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        Ok(())
    }
}
