//! Requests byte for byte, for what no client library would send.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What came back until the server closed.
pub struct Raw {
    pub text: String,
}

impl Raw {
    pub fn status(&self) -> u16 {
        let code = self.text.split(' ').nth(1).and_then(|code| code.parse().ok());
        code.unwrap_or_else(|| panic!("no answer: {:?}", self.text))
    }

    pub fn json(&self) -> Value {
        let (_, body) = self.text.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text))
    }
}

/// Sends the bytes and reads until the server closes. The test's own side stays open.
pub async fn send(addr: SocketAddr, bytes: &[u8]) -> Raw {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    // The server may answer and close before it has taken everything.
    let _ = stream.write_all(bytes).await;
    read_to_end(&mut stream).await
}

pub async fn read_to_end(stream: &mut TcpStream) -> Raw {
    let mut text = Vec::new();
    let read = async {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            text.extend_from_slice(&buffer[..count]);
        }
    };
    timeout(Duration::from_secs(20), read).await.expect("the server kept the connection open");
    Raw { text: String::from_utf8_lossy(&text).into_owned() }
}
