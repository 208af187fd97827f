use crate::{closing, from_http, pattern, read_all, say, tell, to_http, Options, Outcome, PATH};
use serde_json::json;
use std::future::Future;
use std::time::Duration;
use tokio::time::timeout;
use wtransport::endpoint::ConnectOptions;
use wtransport::error::{StreamReadError, StreamWriteError};
use wtransport::tls::{Sha256Digest, Sha256DigestFmt};
use wtransport::{ClientConfig, Connection, Endpoint, RecvStream, SendStream, VarInt};

const SIZE: usize = 1 << 20;
const MANY: usize = 50;
const CODE: u32 = 4660;
const REASON: &str = "schönen Tag";
const PATIENCE: Duration = Duration::from_secs(10);

async fn dial(options: &Options) -> Outcome<Connection> {
    let bytes = options.get("hash").as_bytes().chunks(2);
    let dotted: Vec<String> = bytes
        .map(|pair| String::from_utf8_lossy(pair).into_owned())
        .collect();
    let hash = Sha256Digest::from_str_fmt(dotted.join(":"), Sha256DigestFmt::DottedHex)?;
    let config = ClientConfig::builder()
        .with_bind_default()
        .with_server_certificate_hashes([hash])
        .build();
    let url = format!("https://localhost:{}{PATH}", options.get("port"));
    let request = ConnectOptions::builder(url);
    let request = match options.protocols() {
        names if names.is_empty() => request,
        names => request.add_header("wt-available-protocols", names.join(", ")),
    };
    Ok(timeout(PATIENCE, Endpoint::client(config)?.connect(request.build())).await??)
}

pub async fn run(options: Options) -> Outcome {
    let session = dial(&options).await?;
    tell(json!({"event": "session"}));
    verdict("bidirectional", there(&session, pattern(SIZE))).await;
    verdict("unidirectional", unidirectional(&session)).await;
    verdict("server_streams", server_streams(&session)).await;
    verdict("datagrams", datagrams(&session)).await;
    verdict("many", many(&session)).await;
    verdict("they_reset", they_reset(&session)).await;
    verdict("they_stop", they_stop(&session)).await;
    verdict("we_reset", we_reset(&session)).await;
    verdict("we_stop", we_stop(&session)).await;
    session.close(VarInt::from_u32(CODE), REASON.as_bytes());
    let session = dial(&options).await?;
    verdict("server_close", server_close(&session)).await;
    tell(json!({"event": "done"}));
    Ok(())
}

async fn verdict(name: &str, check: impl Future<Output = Outcome>) {
    match timeout(PATIENCE, check)
        .await
        .unwrap_or_else(|late| Err(late.into()))
    {
        Ok(()) => tell(json!({"event": "check", "name": name, "ok": true})),
        Err(why) => tell(json!({"event": "check", "name": name, "ok": false, "why": why.to_string()})),
    }
}

fn expect<T: PartialEq + std::fmt::Debug>(got: T, wanted: T) -> Outcome {
    if got == wanted {
        return Ok(());
    }
    Err(format!("{got:?} instead of {wanted:?}").into())
}

async fn there(session: &Connection, data: Vec<u8>) -> Outcome {
    let (mut send, mut receive) = session.open_bi().await?.await?;
    let copy = data.clone();
    let writer = tokio::spawn(async move {
        send.write_all(&copy).await?;
        send.finish().await
    });
    let back = read_all(&mut receive).await?;
    writer.await??;
    if back != data {
        return Err(format!(
            "{} bytes came back, not the {} that were sent",
            back.len(),
            data.len()
        )
        .into());
    }
    Ok(())
}

async fn many(session: &Connection) -> Outcome {
    let mut streams = Vec::new();
    for number in 0..MANY {
        let (mut send, receive) = session.open_bi().await?.await?;
        send.write_all(&pattern(1000 + number)).await?;
        send.finish().await?;
        streams.push(receive);
    }
    for (number, mut receive) in streams.into_iter().enumerate() {
        expect(read_all(&mut receive).await?, pattern(1000 + number))?;
    }
    Ok(())
}

async fn hear(session: &Connection, wanted: &str) -> Outcome {
    let data = read_all(&mut session.accept_uni().await?).await?;
    expect(String::from_utf8_lossy(&data).as_ref(), wanted)
}

async fn unidirectional(session: &Connection) -> Outcome {
    say(session, "echo one way").await?;
    hear(session, "one way").await
}

async fn server_streams(session: &Connection) -> Outcome {
    say(session, "open").await?;
    let (mut send, mut receive) = session.accept_bi().await?;
    expect(read_all(&mut receive).await?, b"hello from the server".to_vec())?;
    send.write_all(b"hello from the client").await?;
    send.finish().await?;
    hear(session, "the server got: hello from the client").await
}

/// Datagrams may get lost: each is sent until it has come back.
async fn datagrams(session: &Connection) -> Outcome {
    for number in 0..20 {
        let wanted = pattern(100 + number * 50);
        loop {
            session.send_datagram(&wanted)?;
            if let Ok(datagram) = timeout(Duration::from_secs(1), session.receive_datagram()).await {
                if datagram?.payload()[..] == wanted {
                    break;
                }
            }
        }
    }
    Ok(())
}

async fn ends_with_reset(receive: &mut RecvStream, code: i64) -> Outcome {
    match read_all(receive).await {
        Err(StreamReadError::Reset(got)) => expect(from_http(got), code),
        other => Err(format!("{other:?} instead of a reset").into()),
    }
}

async fn ends_with_stop(send: &mut SendStream, code: i64) -> Outcome {
    match send.stopped().await {
        StreamWriteError::Stopped(got) => expect(from_http(got), code),
        other => Err(format!("{other:?} instead of a stop").into()),
    }
}

async fn they_reset(session: &Connection) -> Outcome {
    let (mut send, mut receive) = session.open_bi().await?.await?;
    send.write_all(b"reset 77").await?;
    ends_with_reset(&mut receive, 77).await
}

async fn they_stop(session: &Connection) -> Outcome {
    let (mut send, _receive) = session.open_bi().await?.await?;
    send.write_all(b"stop 78").await?;
    ends_with_stop(&mut send, 78).await
}

/// A stream on which the first bytes have come back.
async fn begun(session: &Connection) -> Outcome<(SendStream, RecvStream)> {
    let (mut send, mut receive) = session.open_bi().await?.await?;
    send.write_all(b"given up").await?;
    receive.read_exact(&mut [0; 8]).await?;
    Ok((send, receive))
}

async fn we_reset(session: &Connection) -> Outcome {
    let (mut send, mut receive) = begun(session).await?;
    send.reset(to_http(79))?;
    ends_with_reset(&mut receive, 79).await
}

async fn we_stop(session: &Connection) -> Outcome {
    let (mut send, receive) = begun(session).await?;
    receive.stop(to_http(80));
    ends_with_stop(&mut send, 80).await
}

async fn server_close(session: &Connection) -> Outcome {
    let _ = say(session, &format!("close {CODE} {REASON}")).await; // the end may come before it is done
    match session.accept_bi().await {
        Err(error) => expect(closing(&error), (i64::from(CODE), REASON.to_string())),
        Ok(_) => Err("a stream came".into()),
    }
}
