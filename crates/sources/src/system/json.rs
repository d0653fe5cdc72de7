//! Numbers that are fetched by HTTP: out of JSON, and out of what Prometheus answers.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};
use serde_json::Value;
use tidegate_core::snapshot::{Http, Login, Prometheus, Secret, Server, Source, Tls};

use crate::{
    error::{Error, Result},
    secret, transport,
    web::Connection,
};

/// Longest answer that is read.
const ANSWER: usize = 4 << 20;

/// What is fetched, and where the number is.
#[derive(Debug, Clone)]
enum What {
    Pointer(String),
    Prometheus,
}

#[derive(Debug)]
pub(crate) struct Gauge {
    server: Server,
    target: String,
    login: Login,
    token: Option<Secret>,
    what: What,
    tls: Tls,
    connection: Option<Connection>,
}

impl Gauge {
    pub(crate) fn http(http: &Http, source: &Source) -> Self {
        let what = What::Pointer(http.pointer.clone());
        Self::new(&http.server, http.target.clone(), (&http.login, &http.token), what, source)
    }

    pub(crate) fn prometheus(prometheus: &Prometheus, source: &Source) -> Self {
        let target = format!("{}/api/v1/query?query={}", prometheus.path, encode(&prometheus.query));
        let access = (&prometheus.login, &prometheus.token);
        Self::new(&prometheus.server, target, access, What::Prometheus, source)
    }

    fn new(
        server: &Server,
        target: String,
        (login, token): (&Login, &Option<Secret>),
        what: What,
        source: &Source,
    ) -> Self {
        Self {
            server: server.clone(),
            target,
            login: login.clone(),
            token: token.clone(),
            what,
            tls: source.tls.clone(),
            connection: None,
        }
    }

    pub(crate) async fn read(&mut self) -> Result<f64> {
        let request = self.request()?;
        let kept = self.connection.take().filter(Connection::is_open);
        let mut connection = if let Some(connection) = kept {
            connection
        } else {
            Connection::open(transport::connect(&self.server, &self.tls).await?).await?
        };
        let answer = connection.send(request, ANSWER).await?;
        self.connection = Some(connection);
        let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
        if !answer.status.is_success() {
            let told = body.as_ref().and_then(|body| body["error"].as_str()).map(|why| format!(": {why}"));
            return Err(Error::Refused(format!("status {}{}", answer.status, told.unwrap_or_default())));
        }
        let body = body.ok_or_else(|| Error::answer("it is not JSON"))?;
        match &self.what {
            What::Pointer(pointer) => {
                let found = body.pointer(pointer);
                let found = found.ok_or_else(|| Error::answer(format!("there is nothing at {pointer:?}")))?;
                number(found).ok_or_else(|| Error::answer(format!("what is at {pointer:?} is not a number")))
            }
            What::Prometheus => prometheus(&body["data"]),
        }
    }

    fn request(&self) -> Result<Request<Full<Bytes>>> {
        let host = match &self.server {
            Server { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Server { host, port, .. } => format!("{host}:{port}"),
        };
        let mut request = Request::builder().method(Method::GET).uri(&self.target).header("host", host);
        request = request.header("accept", "application/json").header("user-agent", "tidegate");
        let password = secret::maybe(self.login.password.as_ref())?;
        let authorization = match (secret::maybe(self.token.as_ref())?, &self.login.user, password) {
            (Some(token), ..) => Some(format!("Bearer {token}")),
            (None, Some(user), password) => {
                let pair = format!("{user}:{}", password.unwrap_or_default());
                Some(format!("Basic {}", STANDARD.encode(pair)))
            }
            _ => None,
        };
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        // Not the error itself, which may show what was refused.
        let wrong = |_| Error::answer("the URL or a secret cannot be in a request");
        request.body(Full::default()).map_err(wrong)
    }
}

/// A number, or a text that is one.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A scalar, or the only element of a vector; an empty vector is zero.
fn prometheus(data: &Value) -> Result<f64> {
    let result = &data["result"];
    let value = match (data["resultType"].as_str(), result.as_array().map(Vec::as_slice)) {
        (Some("scalar"), Some([_, value])) => value,
        (Some("vector"), Some([])) => return Ok(0.0),
        (Some("vector"), Some([one])) => &one["value"][1],
        (Some("vector"), Some(several)) => {
            let why = format!("the expression has {} values; sum them up", several.len());
            return Err(Error::Refused(why));
        }
        _ => return Err(Error::answer("neither a scalar nor a vector")),
    };
    let value = number(value).filter(|value| value.is_finite());
    value.ok_or_else(|| Error::answer("the value is not a number"))
}

/// As it is written in the query of a URL.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte.into());
        } else {
            // Writing to a string cannot fail.
            _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_prometheus_answers_is_one_number() {
        let read = |data: Value| prometheus(&data).ok();
        let vector = |values: Value| json!({ "resultType": "vector", "result": values });
        assert_eq!(read(json!({ "resultType": "scalar", "result": [1, "4.5"] })), Some(4.5));
        assert_eq!(read(vector(json!([{ "metric": {}, "value": [1, "7"] }]))), Some(7.0));
        assert_eq!(read(vector(json!([]))), Some(0.0));
        assert_eq!(read(vector(json!([{ "value": [1, "1"] }, { "value": [1, "2"] }]))), None);
        assert_eq!(read(vector(json!([{ "value": [1, "NaN"] }]))), None);
        assert_eq!(read(json!({ "resultType": "matrix", "result": [] })), None);
    }

    #[test]
    fn expressions_are_encoded() {
        assert_eq!(encode("sum(a{b=\"ü\"})"), "sum%28a%7Bb%3D%22%C3%BC%22%7D%29");
    }
}
