//! What variables a request has: those that nginx has, as far as they mean something here, and what the configuration
//! defines.
//!
//! Headers, cookies and arguments (`http_*`, `sent_http_*`, `cookie_*`, `arg_*`) are looked up before these.

use std::{borrow::Cow, fmt::Display, net::IpAddr, time::Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::tz::TimeZone;

use super::{Exchange, tls};
use crate::http::request;

/// The version of nginx whose behaviour is meant, as `ngx.config.nginx_version` has it.
const NGINX_VERSION: &str = "1.27.1";

type Value<'a> = Option<Cow<'a, [u8]>>;

pub(super) fn read<'a>(exchange: &'a Exchange, name: &[u8]) -> Value<'a> {
    let request = &exchange.request;
    match name {
        b"request_uri" => Some(Cow::Borrowed(request.target())),
        b"uri" | b"document_uri" => Some(Cow::Borrowed(request.path())),
        b"args" | b"query_string" => request.query().map(Cow::Borrowed),
        b"is_args" => text(if request.query().is_some_and(|query| !query.is_empty()) { "?" } else { "" }),
        b"request_method" => Some(Cow::Borrowed(request.method())),
        b"server_protocol" => text(if request.is_11 { "HTTP/1.1" } else { "HTTP/1.0" }),
        b"request" => {
            let version: &[u8] = if request.is_11 { b" HTTP/1.1" } else { b" HTTP/1.0" };
            Some(Cow::Owned([request.method(), b" ", request.target(), version].concat()))
        }
        b"scheme" => text(exchange.scheme()),
        b"https" => text(if exchange.secure.is_some() { "on" } else { "" }),
        b"host" => Some(Cow::Owned(request::host_name(request.host()).to_ascii_lowercase())),
        // There is one server, which is called what `vars` says.
        b"server_name" => defined(exchange, name).or_else(|| text("localhost")),
        b"remote_addr" => Some(Cow::Borrowed(exchange.client_text.as_bytes())),
        b"binary_remote_addr" if exchange.place.is_some() => text("unix:"),
        b"remote_port" | b"server_port" if exchange.place.is_some() => text(""),
        b"server_addr" if exchange.place.is_some() => text(exchange.place.as_ref()?),
        b"binary_remote_addr" => Some(Cow::Owned(match exchange.client.ip().to_canonical() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        })),
        b"remote_port" => text(exchange.client.port()),
        b"remote_user" => user(exchange),
        b"proxy_add_x_forwarded_for" => Some(forwarded_for(exchange)),
        b"server_addr" => text(exchange.local.ip()),
        b"server_port" => text(exchange.local.port()),
        b"request_id" => Some(Cow::Borrowed(exchange.id().as_bytes())),
        b"request_time" => seconds(Some(exchange.started), Some(Instant::now())),
        b"request_started" => text(format_args!("{:.3}", exchange.arrived.as_secs_f64())),
        b"request_length" => text(request.head().len() as u64 + exchange.bytes_in),
        b"content_length" => request.fields.get(b"content-length").map(Cow::Borrowed),
        b"content_type" => request.fields.get(b"content-type").map(Cow::Borrowed),
        b"request_body" => tidegate_lua::Exchange::body(exchange).map(Cow::Borrowed),
        b"request_body_file" => tidegate_lua::Exchange::body_file(exchange).map(Cow::Borrowed),
        b"status" => text(format_args!("{:03}", exchange.response.status)),
        b"body_bytes_sent" => text(exchange.bytes_out),
        b"bytes_sent" => text(exchange.head_bytes + exchange.bytes_out),
        b"connection" => text(exchange.number),
        b"connection_requests" => text(exchange.count),
        b"upstream_addr" => text(exchange.upstream.address.as_ref()?),
        b"upstream_status" => text((exchange.upstream.status != 0).then_some(exchange.upstream.status)?),
        b"upstream_header_time" => seconds(exchange.upstream.began, exchange.upstream.first_byte),
        b"upstream_response_time" => seconds(exchange.upstream.began, exchange.upstream.ended),
        b"route_name" => exchange.route.as_ref().map(|route| Cow::Borrowed(route.as_str().as_bytes())),
        b"msec" | b"time_local" | b"time_iso8601" => time(exchange, name),
        b"pid" => text(rustix::thread::gettid().as_raw_nonzero()),
        b"hostname" => Some(Cow::Owned(rustix::system::uname().nodename().to_bytes().to_vec())),
        b"nginx_version" => Some(Cow::Borrowed(NGINX_VERSION.as_bytes())),
        _ if name.starts_with(b"ssl_") => {
            let session = exchange.secure.as_ref();
            session.and_then(|session| tls::read(session, name)).or_else(|| defined(exchange, name))
        }
        _ => defined(exchange, name),
    }
}

/// A variable that the configuration defines: empty until it is set.
fn defined<'a>(exchange: &'a Exchange, name: &[u8]) -> Value<'a> {
    if exchange.unset.iter().any(|unset| unset.as_bytes() == name) {
        return None;
    }
    if let Some((_, value)) = exchange.variables.iter().find(|(known, _)| known.as_bytes() == name) {
        return Some(Cow::Borrowed(value));
    }
    let name = std::str::from_utf8(name).ok()?;
    if let Ok(number @ 1..) = name.parse::<usize>() {
        return exchange.captures.get(number - 1).map(|capture| Cow::Borrowed(&**capture));
    }
    exchange.knows(name).then_some(Cow::Borrowed(&[]))
}

pub(super) fn write(exchange: &mut Exchange, name: &[u8], value: &[u8]) -> bool {
    if name == b"args" {
        exchange.request.set_query(value);
        return true;
    }
    exchange.unset.retain(|unset| unset.as_bytes() != name);
    let defined = exchange.variables.iter_mut().find(|(known, _)| known.as_bytes() == name);
    if let Some((_, old)) = defined {
        value.clone_into(old);
        return true;
    }
    let Some(name) = std::str::from_utf8(name).ok().filter(|name| exchange.knows(name)) else {
        return false;
    };
    exchange.variables.push((name.to_owned(), value.to_owned()));
    true
}

pub(super) fn unset(exchange: &mut Exchange, name: &[u8]) -> bool {
    let known = write(exchange, name, b"");
    if known && name != b"args" {
        exchange.unset.push(String::from_utf8_lossy(name).into_owned());
    }
    known
}

fn seconds(from: Option<Instant>, to: Option<Instant>) -> Value<'static> {
    let span = to?.checked_duration_since(from?)?;
    text(format_args!("{:.3}", span.as_secs_f64()))
}

#[expect(clippy::unnecessary_wraps, reason = "most variables are this and nothing else")]
fn text(value: impl Display) -> Value<'static> {
    Some(Cow::Owned(value.to_string().into_bytes()))
}

/// Now, in the form that the name asks for.
fn time(exchange: &Exchange, name: &[u8]) -> Value<'static> {
    let now = exchange.arrived + exchange.started.elapsed();
    if name == b"msec" {
        return text(format_args!("{:.3}", now.as_secs_f64()));
    }
    let now = jiff::Timestamp::from_microsecond(i64::try_from(now.as_micros()).ok()?).ok()?;
    let format = if name == b"time_local" { "%d/%b/%Y:%H:%M:%S %z" } else { "%Y-%m-%dT%H:%M:%S%:z" };
    text(now.to_zoned_datetime(TimeZone::system()).strftime(format))
}

/// Who the client says it is, by `Authorization: Basic`.
fn user(exchange: &Exchange) -> Value<'static> {
    let (scheme, rest) = exchange.request.fields.get(b"authorization")?.split_at_checked(6)?;
    let credentials =
        scheme.eq_ignore_ascii_case(b"basic ").then(|| STANDARD.decode(rest.trim_ascii()).ok())??;
    let end = credentials.iter().position(|&byte| byte == b':')?;
    Some(Cow::Owned(credentials[..end].to_vec()))
}

fn forwarded_for(exchange: &Exchange) -> Cow<'static, [u8]> {
    let client = exchange.client_text.as_bytes();
    match exchange.request.fields.get(b"x-forwarded-for") {
        Some(before) => Cow::Owned([before, b", ", client].concat()),
        None => Cow::Owned(client.to_vec()),
    }
}
