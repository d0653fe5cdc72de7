//! Kafka: what a consumer group has yet to commit of a topic.
//!
//! Four requests, in versions that every broker since 0.11 knows: who leads which partition, where partitions begin and
//! end (asked of their leaders), who coordinates the group, what it has committed (asked of the coordinator). A partition
//! of which nothing was committed lags by all that it has.

mod wire;

use std::collections::BTreeMap;

use tidegate_core::snapshot::{Kafka, Server, Source, Tls};

use self::wire::{Answer, Connection, Request};
use crate::{
    error::{Error, Result},
    secret,
};

const LIST_OFFSETS: (i16, i16) = (2, 1);
const METADATA: (i16, i16) = (3, 1);
const OFFSET_FETCH: (i16, i16) = (9, 1);
const FIND_COORDINATOR: (i16, i16) = (10, 0);

/// Times that stand for the end and the beginning of a partition.
const END: i64 = -1;
const BEGINNING: i64 = -2;

/// Most brokers, and partitions, that are believed.
const MOST: usize = 100_000;

#[derive(Debug)]
pub(crate) struct Gauge {
    kafka: Kafka,
    tls: Tls,
    /// By host and port.
    connections: BTreeMap<(String, u16), Connection>,
}

/// Leaders, and the partitions that each leads.
type Leaders = BTreeMap<(String, u16), Vec<i32>>;

impl Gauge {
    pub(crate) fn new(kafka: &Kafka, source: &Source) -> Self {
        Self { kafka: kafka.clone(), tls: source.tls.clone(), connections: BTreeMap::new() }
    }

    pub(crate) async fn read(&mut self) -> Result<f64> {
        let first = self.any().await?;
        let leaders = self.leaders(&first).await?;
        let partitions: Vec<i32> = leaders.values().flatten().copied().collect();
        let coordinator = self.coordinator(&first).await?;
        let committed = self.committed(&coordinator, &partitions).await?;
        // What a broker says may be as wrong as 64 bits allow; the sum of it has room for that.
        let (mut lag, mut fresh) = (0_i128, Leaders::new());
        for (leader, partitions) in &leaders {
            for (partition, end) in self.offsets(leader, partitions, END).await? {
                match committed.get(&partition) {
                    Some(&offset) if offset >= 0 => lag += i128::from(end.saturating_sub(offset).max(0)),
                    _ => {
                        lag += i128::from(end);
                        fresh.entry(leader.clone()).or_default().push(partition);
                    }
                }
            }
        }
        for (leader, partitions) in &fresh {
            let beginnings = self.offsets(leader, partitions, BEGINNING).await?;
            lag -= beginnings.into_values().map(i128::from).sum::<i128>();
        }
        Ok(lag.max(0) as f64)
    }

    /// One of the brokers to begin with that can be reached.
    async fn any(&mut self) -> Result<(String, u16)> {
        let mut wrong = Error::answer("no brokers");
        for Server { host, port, .. } in self.kafka.servers.clone() {
            let address = (host, port);
            match self.connection(&address).await {
                Ok(_) => return Ok(address),
                Err(error) => wrong = error,
            }
        }
        Err(wrong)
    }

    async fn connection(&mut self, address: &(String, u16)) -> Result<&mut Connection> {
        if !self.connections.contains_key(address) {
            // What brokers say of each other has no word about TLS: all speak it, or none does.
            let tls = self.kafka.servers.iter().any(|server| server.tls);
            let server = Server { tls, host: address.0.clone(), port: address.1 };
            let mut connection = Connection::open(&server, &self.tls).await?;
            if let Some(user) = &self.kafka.login.user {
                let password = secret::maybe(self.kafka.login.password.as_ref())?.unwrap_or_default();
                connection.authenticate(user, &password).await?;
            }
            self.connections.insert(address.clone(), connection);
        }
        self.connections.get_mut(address).ok_or_else(|| Error::answer("no connection"))
    }

    async fn ask(&mut self, address: &(String, u16), request: Request) -> Result<Answer> {
        self.connection(address).await?.ask(request).await
    }

    async fn leaders(&mut self, first: &(String, u16)) -> Result<Leaders> {
        let request = Request::new(METADATA).i32(1).text(&self.kafka.topic);
        leaders(&mut self.ask(first, request).await?)
    }

    async fn offsets(
        &mut self,
        leader: &(String, u16),
        partitions: &[i32],
        time: i64,
    ) -> Result<BTreeMap<i32, i64>> {
        let request = Request::new(LIST_OFFSETS).i32(-1).i32(1).text(&self.kafka.topic);
        let request = partitions
            .iter()
            .fold(request.count(partitions.len()), |request, &partition| request.i32(partition).i64(time));
        offsets(&mut self.ask(leader, request).await?)
    }

    async fn coordinator(&mut self, first: &(String, u16)) -> Result<(String, u16)> {
        let request = Request::new(FIND_COORDINATOR).text(&self.kafka.group);
        coordinator(&mut self.ask(first, request).await?)
    }

    async fn committed(
        &mut self,
        coordinator: &(String, u16),
        partitions: &[i32],
    ) -> Result<BTreeMap<i32, i64>> {
        let request = Request::new(OFFSET_FETCH).text(&self.kafka.group).i32(1).text(&self.kafka.topic);
        let count = request.count(partitions.len());
        let request = partitions.iter().fold(count, |request, &partition| request.i32(partition));
        committed(&mut self.ask(coordinator, request).await?)
    }
}

fn leaders(answer: &mut Answer) -> Result<Leaders> {
    let mut brokers = BTreeMap::new();
    for _ in 0..answer.count(MOST)? {
        let (node, host, port) = (answer.i32()?, answer.text()?, answer.i32()?);
        answer.text()?;
        brokers.insert(node, (host, u16::try_from(port).unwrap_or(0)));
    }
    answer.i32()?;
    let mut leaders = Leaders::new();
    for _ in 0..answer.count(MOST)? {
        answer.fine("the topic")?;
        answer.text()?;
        answer.bytes(1)?;
        for _ in 0..answer.count(MOST)? {
            // Which replicas are missing does not matter, as long as there is a leader.
            let (_, partition, leader) = (answer.i16()?, answer.i32()?, answer.i32()?);
            for _ in 0..2 {
                let replicas = answer.count(MOST)?;
                answer.bytes(replicas * 4)?;
            }
            let broker = brokers.get(&leader);
            let broker =
                broker.ok_or_else(|| Error::Refused(format!("partition {partition} has no leader")))?;
            leaders.entry(broker.clone()).or_default().push(partition);
        }
    }
    Ok(leaders)
}

fn offsets(answer: &mut Answer) -> Result<BTreeMap<i32, i64>> {
    let mut offsets = BTreeMap::new();
    for _ in 0..answer.count(MOST)? {
        answer.text()?;
        for _ in 0..answer.count(MOST)? {
            let partition = answer.i32()?;
            answer.fine("a partition")?;
            answer.i64()?;
            offsets.insert(partition, answer.i64()?);
        }
    }
    Ok(offsets)
}

fn coordinator(answer: &mut Answer) -> Result<(String, u16)> {
    answer.fine("the coordinator of the group")?;
    answer.i32()?;
    Ok((answer.text()?, u16::try_from(answer.i32()?).unwrap_or(0)))
}

fn committed(answer: &mut Answer) -> Result<BTreeMap<i32, i64>> {
    let mut committed = BTreeMap::new();
    for _ in 0..answer.count(MOST)? {
        answer.text()?;
        for _ in 0..answer.count(MOST)? {
            let (partition, offset) = (answer.i32()?, answer.i64()?);
            answer.text()?;
            answer.fine("the group")?;
            committed.insert(partition, offset);
        }
    }
    Ok(committed)
}

/// Reads `bytes` as an answer of each kind.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_as_all(bytes: &[u8]) -> usize {
    let answer = || Answer::new(bytes.to_vec());
    let counts = [
        leaders(&mut answer()).map_or(0, |leaders| leaders.values().map(Vec::len).sum()),
        offsets(&mut answer()).map_or(0, |offsets| offsets.len()),
        committed(&mut answer()).map_or(0, |committed| committed.len()),
        usize::from(coordinator(&mut answer()).is_ok()),
    ];
    counts.into_iter().max().unwrap_or_default()
}
