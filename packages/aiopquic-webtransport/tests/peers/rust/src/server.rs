use crate::{closing, command, from_http, read_all, say, tell, to_http, Options, Outcome, PATH};
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use wtransport::endpoint::IncomingSession;
use wtransport::error::{StreamReadError, StreamWriteError};
use wtransport::{Connection, Endpoint, Identity, RecvStream, SendStream, ServerConfig, VarInt};

pub async fn serve(options: Options) -> Outcome {
    let identity = Identity::load_pemfiles(options.get("certificate"), options.get("key")).await?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = ServerConfig::builder()
        .with_bind_address(address)
        .with_identity(identity)
        .build();
    let endpoint = Endpoint::server(config)?;
    tell(json!({"event": "listening", "port": endpoint.local_addr()?.port()}));
    let protocols = Arc::new(options.protocols());
    tokio::spawn(async move {
        loop {
            tokio::spawn(admit(endpoint.accept().await, protocols.clone()));
        }
    });
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}

async fn admit(incoming: IncomingSession, protocols: Arc<Vec<String>>) -> Outcome {
    let request = incoming.await?;
    if request.path() != PATH {
        request.not_found().await;
        return Ok(());
    }
    if request.origin().is_some_and(|origin| origin.contains("foreign")) {
        request.forbidden().await;
        return Ok(());
    }
    let offered = request
        .headers()
        .get("wt-available-protocols")
        .cloned()
        .unwrap_or_default();
    let chosen = offered
        .split(',')
        .map(str::trim)
        .find(|name| protocols.iter().any(|known| known == name));
    let headers = chosen.map(|name| ("wt-protocol", name));
    tell(json!({"event": "session", "protocol": chosen.unwrap_or("").trim_matches('"')}));
    let connection = Arc::new(request.accept_with_headers(headers).await?);
    answer(connection).await
}

async fn answer(connection: Arc<Connection>) -> Outcome {
    loop {
        tokio::select! {
            stream = connection.accept_bi() => match stream {
                Ok((send, receive)) => { tokio::spawn(echo(send, receive)); }
                Err(error) => {
                    let (code, reason) = closing(&error);
                    tell(json!({"event": "closed", "code": code, "reason": reason}));
                    return Ok(());
                }
            },
            Ok(stream) = connection.accept_uni() => { tokio::spawn(obey(connection.clone(), stream)); }
            Ok(datagram) = connection.receive_datagram() => connection.send_datagram(datagram.payload())?,
        }
    }
}

async fn echo(mut send: SendStream, mut receive: RecvStream) -> Outcome {
    let mut buffer = vec![0; 1 << 16];
    let mut first = true;
    loop {
        let read = tokio::select! {
            read = receive.read(&mut buffer) => read,
            stopped = send.stopped() => {
                if let StreamWriteError::Stopped(code) = stopped {
                    tell(json!({"event": "stop", "code": from_http(code)}));
                    receive.stop(code);
                }
                return Ok(());
            }
        };
        let count = match read {
            Ok(Some(count)) => count,
            Ok(None) => return Ok(send.finish().await?),
            Err(StreamReadError::Reset(code)) => {
                tell(json!({"event": "reset", "code": from_http(code)}));
                return Ok(send.reset(code)?);
            }
            Err(error) => return Err(error.into()),
        };
        if std::mem::take(&mut first) {
            if let Some(code) = command(&buffer[..count], "reset") {
                send.reset(to_http(code))?;
                read_all(&mut receive).await?;
                return Ok(());
            }
            if let Some(code) = command(&buffer[..count], "stop") {
                receive.stop(to_http(code));
                return Ok(send.finish().await?);
            }
        }
        send.write_all(&buffer[..count]).await?;
    }
}

async fn obey(connection: Arc<Connection>, mut stream: RecvStream) -> Outcome {
    let data = read_all(&mut stream).await?;
    let text = String::from_utf8_lossy(&data).into_owned();
    let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
    match word {
        "echo" => say(&connection, rest).await,
        "close" => {
            let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            connection.close(VarInt::from_u32(code.parse()?), reason.as_bytes());
            Ok(())
        }
        "open" => {
            let (mut send, mut receive) = connection.open_bi().await?.await?;
            send.write_all(b"hello from the server").await?;
            send.finish().await?;
            let reply = read_all(&mut receive).await?;
            say(
                &connection,
                &format!("the server got: {}", String::from_utf8_lossy(&reply)),
            )
            .await
        }
        _ => Ok(()),
    }
}
