//! Redis: the length of a list, and what a consumer group of a stream has yet to acknowledge.

pub(crate) mod list;
pub(crate) mod resp;
pub(crate) mod stream;

use tidegate_core::snapshot::{Redis, RedisKey, Source, Tls};

use self::resp::{Connection, Value};
use crate::{
    error::{Error, Result},
    secret, transport,
};

/// Entries of a stream that are counted one by one, where Redis has lost count.
const COUNTED: usize = 10_000;

/// Connects, says who it is, and selects the database.
pub(crate) async fn connect(redis: &Redis, tls: &Tls) -> Result<Connection> {
    let password = secret::maybe(redis.login.password.as_ref())?;
    let mut connection = Connection::new(transport::connect(&redis.server, tls).await?);
    if let Some(password) = password {
        let user = redis.login.user.as_deref();
        let words = ["AUTH"].into_iter().chain(user).chain([password.as_str()]);
        connection.command(words).await?;
    }
    if redis.database != 0 {
        connection.command(["SELECT", &redis.database.to_string()]).await?;
    }
    Ok(connection)
}

/// Where messages of a list are that workers have taken and not finished: a sorted set by when they are due again.
pub(crate) fn taken(list: &str) -> String {
    format!("{list}.taken")
}

#[derive(Debug)]
pub(crate) struct Gauge {
    redis: Redis,
    tls: Tls,
    connection: Option<Connection>,
}

impl Gauge {
    pub(crate) fn new(redis: &Redis, source: &Source) -> Self {
        Self { redis: redis.clone(), tls: source.tls.clone(), connection: None }
    }

    pub(crate) async fn read(&mut self) -> Result<f64> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(connect(&self.redis, &self.tls).await?),
        };
        match &self.redis.key {
            RedisKey::List(key) => {
                let waiting = connection.command(["LLEN", key]).await?.integer()?;
                let taken = connection.command(["ZCARD", &taken(key)]).await?.integer()?;
                Ok((waiting + taken) as f64)
            }
            RedisKey::Stream { key, group } => unsettled(connection, key, group).await,
        }
    }
}

async fn unsettled(connection: &mut Connection, key: &str, group: &str) -> Result<f64> {
    let groups = match connection.command(["XINFO", "GROUPS", key]).await {
        Ok(groups) => groups.list()?,
        // Nobody has written to it.
        Err(Error::Refused(why)) if why.contains("no such key") => return Ok(0.0),
        Err(error) => return Err(error),
    };
    let groups = groups.into_iter().map(Value::fields).collect::<Result<Vec<_>>>()?;
    let named =
        |fields: &Vec<(String, Value)>| fields.iter().any(|(name, value)| name == "name" && value.is(group));
    let Some(fields) = groups.into_iter().find(named) else {
        // Nobody has read from it: everything waits.
        return Ok(connection.command(["XLEN", key]).await?.integer()? as f64);
    };
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value);
    let pending = field("pending").ok_or_else(|| Error::answer("a group without `pending`"))?.integer()?;
    let lag = if let Some(Value::Integer(lag)) = field("lag") {
        *lag
    } else {
        // Entries were deleted, or this Redis is older than 7.
        let last = field("last-delivered-id").and_then(Value::text).unwrap_or("0");
        let (after, count) = (format!("({last}"), COUNTED.to_string());
        let range = connection.command(["XRANGE", key, &after, "+", "COUNT", &count]).await?;
        i64::try_from(range.list()?.len()).unwrap_or(i64::MAX)
    };
    Ok((lag.max(0) + pending) as f64)
}
