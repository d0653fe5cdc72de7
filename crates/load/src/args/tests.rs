use clap::{Parser, error::ErrorKind};

use super::*;

#[derive(Debug, Parser)]
#[command(name = "load")]
struct Cli {
    #[command(flatten)]
    load: LoadArgs,
}

fn parse(line: &str) -> Result<LoadArgs, ErrorKind> {
    let words = std::iter::once("load").chain(line.split_whitespace());
    Cli::try_parse_from(words).map(|cli| cli.load).map_err(|error| error.kind())
}

fn plan(line: &str) -> Result<Plan, Error> {
    parse(line).unwrap().plan()
}

#[test]
fn a_url_is_enough() {
    let plan = plan("http://h/").unwrap();
    let Demand::Shaped { shape, peak, duration } = plan.schedule.demand else { panic!("not a shape") };
    assert_eq!((shape, peak, duration), (Shape::Steady, 100.0, Duration::from_secs(30)));
    assert_eq!((plan.connections.get(), plan.threads.get(), plan.queue.get()), (64, 1, 100_000));
    assert_eq!((plan.timeout, plan.request), (Duration::from_secs(30), Request::default()));
}

#[test]
fn a_body_makes_a_post_unless_told_otherwise() {
    assert_eq!(plan("http://h/ --rate 1 --body x").unwrap().request.method, Method::post());
    assert_eq!(plan("http://h/ --rate 1 --body x -X PUT").unwrap().request.method.to_string(), "PUT");
}

#[test]
fn mistakes_of_usage_are_refused() {
    let cases = [
        ("", ErrorKind::MissingRequiredArgument),
        ("http://h/ --speed 2x", ErrorKind::MissingRequiredArgument),
        ("http://h/ --rate 1 --trace f", ErrorKind::ArgumentConflict),
        ("http://h/ --rate 1 --speed 2x", ErrorKind::ArgumentConflict),
        ("http://h/ --trace f --shape ramp", ErrorKind::ArgumentConflict),
        ("https://h/ --rate 1", ErrorKind::ValueValidation),
        ("http://h/ --rate 0", ErrorKind::ValueValidation),
        ("http://h/ --rate 1 --duration 30", ErrorKind::ValueValidation),
        ("http://h/ --rate 1 --connections 0", ErrorKind::ValueValidation),
        ("http://h/ --rate 1 -H a=b", ErrorKind::ValueValidation),
        ("http://h/ --rate 1 --expect-status 99", ErrorKind::ValueValidation),
    ];
    for (line, kind) in cases {
        assert_eq!(parse(line).err(), Some(kind), "{line}");
    }
}

/// Keeps a file for as long as a test needs it.
fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn a_part_of_a_trace_is_replayed_faster_and_scaled() {
    let trace = file("timestamp_seconds,requests_per_second\n0,9\n60,1\n120,2\n180,9\n");
    let path = trace.path().display();
    let plan =
        plan(&format!("http://h/ --trace {path} --speed 60x --peak 100 --start 1m --length 2m")).unwrap();
    let Demand::Recorded { trace, speed, duration } = plan.schedule.demand else { panic!("not a trace") };
    assert_eq!((trace.rates(), speed, duration), (&[50.0, 100.0][..], 60.0, Duration::from_secs(2)));
}

#[test]
fn a_duration_cuts_a_replay() {
    let trace = file("timestamp_seconds,requests_per_second\n0,9\n60,1\n");
    let path = trace.path().display();
    let lasts = |rest: &str| {
        plan(&format!("http://h/ --trace {path} {rest}")).unwrap().schedule.demand.duration().as_secs()
    };
    assert_eq!((lasts(""), lasts("--duration 90s"), lasts("--duration 1h")), (120, 90, 120));
}

#[test]
fn files_that_are_no_use_are_named() {
    let trace = file("a,b\n1,2\n");
    let path = trace.path().display();
    assert!(matches!(plan(&format!("http://h/ --trace {path}")), Err(Error::Trace { .. })));
    assert!(matches!(plan("http://h/ --trace /nowhere"), Err(Error::Read { .. })));
    assert!(matches!(plan("http://h/ --rate 1 --body @/nowhere"), Err(Error::Read { .. })));
    let trace = file("timestamp_seconds,requests_per_second\n0,9\n60,1\n");
    let path = trace.path().display();
    assert!(matches!(plan(&format!("http://h/ --trace {path} --start 1h")), Err(Error::EmptySlice)));
}

#[test]
fn a_file_without_an_end_is_not_read_to_it() {
    let refused = read(Path::new("/dev/zero"), 1 << 20).unwrap_err();
    assert_eq!(refused.to_string(), "/dev/zero is larger than 1048576 bytes, the most that is read");
    assert_eq!(read(file("orders").path(), 6).unwrap(), b"orders");
}

#[test]
fn a_body_can_come_from_a_file() {
    let body = file("orders");
    let plan = plan(&format!("http://h/ --rate 1 --body @{}", body.path().display())).unwrap();
    assert_eq!(plan.request.body, b"orders");
}
