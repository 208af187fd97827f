//! What Cloudflare's qlog crate makes of the files that it's given: a line of JSON for each, what it read as the schema's
//! own types counted by name. Ends with 1 when a file is refused or holds a record that is no event.

use std::collections::BTreeMap;
use std::process::ExitCode;

use qlog::events::quic::QuicFrame;
use qlog::events::EventData;
use qlog::reader::{Event, QlogSeqReader};
use serde_json::{json, Value};

type Failure = Box<dyn std::error::Error>;

fn name_of(value: &impl serde::Serialize, key: &str) -> Result<String, Failure> {
    Ok(serde_json::to_value(value)?[key].as_str().unwrap_or("?").to_string())
}

fn read(path: &str) -> Result<Value, Failure> {
    // The reader leaves out what it can't read without a word: every record has a separator before it.
    let records = std::fs::read(path)?.iter().filter(|byte| **byte == 0x1e).count();
    let mut reader = QlogSeqReader::with_file(path)?;
    let header = serde_json::to_value(&reader.qlog)?;
    let mut typed = BTreeMap::<String, u64>::new();
    let mut untyped = BTreeMap::<String, u64>::new();
    let mut frames = BTreeMap::<String, u64>::new();
    let mut stream_bytes = 0;
    let mut closes = Vec::new();
    let mut events = 0;
    for event in &mut reader {
        events += 1;
        match event {
            Event::Qlog(event) => {
                *typed.entry(name_of(&event.data, "name")?).or_default() += 1;
                let EventData::QuicPacketSent(packet) = event.data else { continue };
                for frame in packet.frames.unwrap_or_default() {
                    *frames.entry(name_of(&frame, "frame_type")?).or_default() += 1;
                    match &frame {
                        QuicFrame::Stream { raw: Some(raw), .. } => stream_bytes += raw.length.unwrap_or(0),
                        QuicFrame::ConnectionClose { .. } => closes.push(serde_json::to_value(&frame)?),
                        _ => (),
                    }
                }
            }
            Event::Json(event) => *untyped.entry(event.name).or_default() += 1,
        }
    }
    if events + 1 != records {
        return Err(format!("{events} events in {records} records, of which one is the header").into());
    }
    Ok(json!({"header": header, "typed": typed, "untyped": untyped, "sent": frames,
              "stream_bytes": stream_bytes, "closes": closes}))
}

fn main() -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for path in std::env::args().skip(1) {
        match read(&path) {
            Ok(summary) => println!("{summary}"),
            Err(failure) => {
                eprintln!("{path}: {failure}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}
