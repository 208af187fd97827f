//! The peer on wtransport: the exchange of ../README.md, as the server or as the client.

mod client;
mod server;

use serde_json::Value;
use std::collections::HashMap;
use std::error::Error;
use wtransport::error::{ConnectionError, StreamReadError};
use wtransport::{Connection, RecvStream, VarInt};

pub const PATH: &str = "/exchange";

pub type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// "--name value" pairs.
pub struct Options(HashMap<String, String>);

impl Options {
    fn read() -> (String, Self) {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let pairs = words[1..].chunks(2);
        let values = pairs.map(|pair| (pair[0].trim_start_matches("--").to_string(), pair[1].clone()));
        (words[0].clone(), Self(values.collect()))
    }

    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or("")
    }

    /// The subprotocols as the list of quoted strings that their header field carries.
    pub fn protocols(&self) -> Vec<String> {
        let names = self.get("protocols").split(',').filter(|name| !name.is_empty());
        names.map(|name| format!("\"{name}\"")).collect()
    }
}

pub fn tell(line: Value) {
    println!("{line}");
}

/// wtransport leaves the codes of streams as HTTP/3 carries them (section 4.4 of the draft).
const FIRST: u64 = 0x52e4_a40f_a8db;

pub fn to_http(code: u64) -> VarInt {
    VarInt::try_from(FIRST + code + code / 0x1e).expect("a small code")
}

pub fn from_http(code: VarInt) -> i64 {
    match code.into_inner().checked_sub(FIRST) {
        Some(shifted) => (shifted - shifted / 0x1f) as i64,
        None => -1,
    }
}

/// The number behind a word: "reset 77".
pub fn command(data: &[u8], word: &str) -> Option<u64> {
    let text = std::str::from_utf8(data).ok()?;
    text.strip_prefix(word)?.strip_prefix(' ')?.parse().ok()
}

pub fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i * 7 + (i >> 8) * 13) as u8).collect()
}

/// Everything until the end, or the code of the reset.
pub async fn read_all(stream: &mut RecvStream) -> Result<Vec<u8>, StreamReadError> {
    let mut all = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    while let Some(count) = stream.read(&mut buffer).await? {
        all.extend_from_slice(&buffer[..count]);
    }
    Ok(all)
}

pub async fn say(connection: &Connection, text: &str) -> Outcome {
    let mut stream = connection.open_uni().await?.await?;
    stream.write_all(text.as_bytes()).await?;
    Ok(stream.finish().await?)
}

/// The code and the reason of the end.
pub fn closing(error: &ConnectionError) -> (i64, String) {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            let reason = String::from_utf8_lossy(close.reason()).into_owned();
            (close.code().into_inner() as i64, reason)
        }
        other => (-1, other.to_string()),
    }
}

#[tokio::main]
async fn main() -> Outcome {
    let (role, options) = Options::read();
    if role == "server" {
        server::serve(options).await
    } else {
        client::run(options).await
    }
}
