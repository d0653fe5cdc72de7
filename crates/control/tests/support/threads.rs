//! Instances that are threads: of tests, with a server in each that answers what its script says.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Instant,
};

use tidegate_control::{InstanceSpec, ThreadHost, ThreadInstance, instance::protocol::Status};

/// A script that is `fail WHY` does not start; one that is `die` ends with its first request; any other is the answer.
#[derive(Debug)]
pub(crate) struct Threads;

impl ThreadHost for Threads {
    fn start(&self, spec: InstanceSpec) -> Result<Box<dyn ThreadInstance>, String> {
        let script = spec.app.source.to_string();
        if let Some(why) = script.strip_prefix("-- fail ") {
            return Err(why.to_owned());
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let instance =
            Thread { address, began: Instant::now(), ending: Arc::default(), ended: Arc::default() };
        let (ending, ended) = (Arc::clone(&instance.ending), Arc::clone(&instance.ended));
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept()
                && !ending.load(Relaxed)
            {
                if answer(&stream, &script) && script == "-- die" {
                    break;
                }
            }
            ended.store(true, Relaxed);
        });
        Ok(Box::new(instance))
    }
}

/// Whether a request came.
fn answer(mut stream: &TcpStream, text: &str) -> bool {
    let mut line = String::new();
    if BufReader::new(stream).read_line(&mut line).unwrap_or(0) == 0 {
        return false;
    }
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
    // A client that left does not matter here.
    _ = stream.write_all(format!("{head}{text}").as_bytes());
    true
}

struct Thread {
    address: SocketAddr,
    began: Instant,
    ending: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

impl ThreadInstance for Thread {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn status(&self) -> Status {
        let up_micros = self.began.elapsed().as_micros() as u64;
        Status { busy_micros: up_micros / 4, up_micros, ..Status::default() }
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    fn end(self: Box<Self>) {
        self.ending.store(true, Relaxed);
        // Wakes it up.
        _ = TcpStream::connect(self.address);
        while !self.ended.load(Relaxed) {
            thread::yield_now();
        }
    }
}
