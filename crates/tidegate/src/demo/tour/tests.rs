use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};

use super::{super::scene::tests::Day, *};

/// A gateway that answers everything, for as long as it is polled.
async fn gateway(listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        connections.spawn(async move {
            let mut request = [0; 1024];
            while stream.read(&mut request).await.is_ok_and(|length| length > 0) {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            }
        });
    }
}

/// Plays a day of two seconds before a fleet whose every look shows it one instance-second older.
async fn summary(stop: CancellationToken) -> Summary {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let looks = AtomicU32::new(0);
    let view = || {
        let mut day = Day::new();
        let look = looks.fetch_add(1, SeqCst);
        day.fleet().instance_seconds = 100.0 + f64::from(look);
        if look > 2 {
            day.fleet().states.ready = 4;
            day.decide(1, 4);
        }
        Arc::new(day.view)
    };
    let stage = Stage::Lines(Lines::new(Box::new(io::sink())));
    select! {
        () = gateway(listener) => unreachable!("it serves until it is dropped"),
        summary = play(address, &view, Duration::from_secs(2), stop, stage) => summary.unwrap(),
    }
}

#[tokio::test]
async fn a_day_is_summed_up() {
    let summary = summary(CancellationToken::new()).await;
    // The whole area below the day's curve, give or take what chance does to it.
    assert!((200..400).contains(&summary.requests), "{summary:?}");
    assert_eq!((summary.failed, summary.interrupted), (0, false));
    assert_eq!((summary.peak_instances, summary.fixed_instances, summary.decisions), (4, 6, 1));
    assert!(summary.instance_hours >= 3.0 / 3_600.0 && summary.instance_hours < 60.0 / 3_600.0);
    assert!(summary.fixed_instance_hours >= 6.0 * 2.0 / 3_600.0);
    assert!(summary.p99_ms.is_some());
}

#[tokio::test]
async fn a_day_that_is_broken_off_is_summed_up_as_well() {
    let stop = CancellationToken::new();
    stop.cancel();
    let summary = summary(stop).await;
    assert_eq!((summary.requests, summary.failed, summary.interrupted), (0, 0, true));
}

#[tokio::test(start_paused = true)]
async fn a_fleet_that_does_not_start_is_no_tour() {
    let mut day = Day::new();
    day.fleet().states.ready = 0;
    let view = Arc::new(day.view);
    let error = ready(&|| Arc::clone(&view)).await.unwrap_err();
    assert_eq!(error.to_string(), "no instance became ready within 30 s");
}
