//! Event sources: URLs with the scheme of their system, keys that go together.

use tidegate_core::{
    SourceId,
    snapshot::{
        Http, Identity, Kafka, Login, Nats, Postgresql, Prometheus, Rabbitmq, Redis, RedisKey, Secret,
        Server, Source, System, Tls,
    },
};

use crate::{
    decode::{Field, Located},
    leaf::{
        address::HostPort,
        source::{SecretReference, Url},
        text::{File, Text},
    },
    raw::source as raw,
    report::{Place, Report},
    resolve::{Resolver, exclude},
};

impl Resolver<'_, '_> {
    pub(super) fn source(&mut self, name: &SourceId, place: Place, raw: &raw::Source) -> Option<Source> {
        let tls = self.tls(place, raw);
        let mut system = Checker { report: self.report, place };
        let redis = raw.redis.value().and_then(|raw| system.redis(raw)).map(System::Redis);
        let nats = raw.nats.value().and_then(|raw| system.nats(raw)).map(System::Nats);
        let rabbitmq = raw.rabbitmq.value().and_then(|raw| system.rabbitmq(raw)).map(System::Rabbitmq);
        let postgresql =
            raw.postgresql.value().and_then(|raw| system.postgresql(raw)).map(System::Postgresql);
        let prometheus =
            raw.prometheus.value().and_then(|raw| system.prometheus(raw)).map(System::Prometheus);
        let http = raw.http.value().and_then(|raw| system.http(raw)).map(System::Http);
        let kafka = raw.kafka.value().and_then(|raw| system.kafka(raw)).map(System::Kafka);
        Some(Source {
            name: name.clone(),
            system: redis.or(nats).or(rabbitmq).or(postgresql).or(prometheus).or(http).or(kafka)?,
            interval: raw.interval.value()?.0,
            timeout: raw.timeout.value()?.0,
            tls: tls?,
        })
    }

    fn tls(&mut self, place: Place, raw: &raw::Source) -> Option<Tls> {
        let file =
            |field: &Field<File>| Some(field.optional()?.map(|file| self.scripts.locate(&file.value.0)));
        let (trusted, certificate, key) =
            (file(&raw.trusted_certificate)?, file(&raw.client_certificate)?, file(&raw.client_key)?);
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
            (None, None) => None,
            (certificate, _) => {
                let (given, missing) = match certificate {
                    Some(_) => ("clientCertificate", "clientKey"),
                    None => ("clientKey", "clientCertificate"),
                };
                let message = format!("`{given}` is of no use without `{missing}`");
                self.report.error(place, message, format!("write `{missing}: FILE` as well"));
                return None;
            }
        };
        Some(Tls { trusted, identity })
    }
}

/// What the systems are checked with.
struct Checker<'a, 'r> {
    report: &'a mut Report<'r>,
    /// Of the source.
    place: Place,
}

impl Checker<'_, '_> {
    fn redis(&mut self, raw: &raw::RedisSource) -> Option<Redis> {
        let url = raw.url.given()?;
        let server = self.server(url, &[("redis", false, 6379), ("rediss", true, 6379)]);
        let database = match url.value.rest.trim_start_matches('/') {
            "" => Some(0),
            text => text.parse().ok().or_else(|| {
                let help = "write the number of the database, like `redis://127.0.0.1:6379/0`";
                self.report.error(url.place, "what stands after the slash is not a number", help);
                None
            }),
        };
        exclude(("list", &raw.list), ("stream", &raw.stream), self.report);
        exclude(("list", &raw.list), ("group", &raw.group), self.report);
        let key = match (raw.list.optional()?, raw.stream.optional()?, raw.group.optional()?) {
            (Some(list), ..) => Some(RedisKey::List(list.value.0.clone())),
            (None, Some(key), Some(group)) => {
                Some(RedisKey::Stream { key: key.value.0.clone(), group: group.value.0.clone() })
            }
            _ => {
                let help = "write `list: KEY`, or `stream: KEY` and `group: NAME`";
                self.report.error(self.place, "it is not said what waits in Redis", help);
                None
            }
        };
        let login = login(Some(&url.value), &raw.user, &raw.password);
        Some(Redis { server: server?, database: database?, login: login?, key: key? })
    }

    fn nats(&mut self, raw: &raw::NatsSource) -> Option<Nats> {
        let url = raw.url.given()?;
        let server = self.server(url, &[("nats", false, 4222), ("tls", true, 4222)]);
        let (stream, consumer) = (self.word("stream", &raw.stream), self.word("consumer", &raw.consumer));
        Some(Nats {
            server: server?,
            login: login(Some(&url.value), &raw.user, &raw.password)?,
            token: secret(&raw.token)?,
            stream: stream?,
            consumer: consumer?,
        })
    }

    /// A name that NATS can have in a subject.
    fn word(&mut self, key: &str, raw: &Field<Text>) -> Option<String> {
        let Located { value: Text(text), place } = raw.given()?;
        if text.is_empty() || text.contains(|c: char| c.is_whitespace() || "./\\*>".contains(c)) {
            let message = format!("`{key}` is not a name that NATS can have");
            self.report.error(*place, message, "leave out blanks, `.`, `*`, `>` and slashes");
            return None;
        }
        Some(text.clone())
    }

    fn rabbitmq(&mut self, raw: &raw::RabbitmqSource) -> Option<Rabbitmq> {
        let url = raw.url.given()?;
        let server = self.server(url, &[("amqp", false, 5672), ("amqps", true, 5671)]);
        Some(Rabbitmq {
            server: server?,
            login: login(Some(&url.value), &raw.user, &raw.password)?,
            virtual_host: raw.virtual_host.value()?.0.clone(),
            queue: raw.queue.value()?.0.clone(),
        })
    }

    fn postgresql(&mut self, raw: &raw::PostgresqlSource) -> Option<Postgresql> {
        let url = raw.url.given()?;
        let server = self.server(url, &[("postgresql", false, 5432), ("postgres", false, 5432)]);
        let (database, options) = url.value.rest.split_once('?').unwrap_or((&url.value.rest, ""));
        let tls = match options {
            "" | "sslmode=disable" => Some(false),
            "sslmode=verify-full" => Some(true),
            _ => {
                let help = "write `?sslmode=verify-full` for TLS; no other mode makes sure who the server is";
                self.report.error(url.place, "what stands after `?` is not known", help);
                None
            }
        };
        let login = login(Some(&url.value), &raw.user, &raw.password)?;
        let user = login.user.unwrap_or_else(|| "postgres".to_owned());
        let database = database.trim_start_matches('/');
        let database = if database.is_empty() { user.clone() } else { database.to_owned() };
        Some(Postgresql {
            server: Server { tls: tls?, ..server? },
            login: Login { user: Some(user), ..login },
            database,
            query: raw.query.value()?.0.clone(),
        })
    }

    fn prometheus(&mut self, raw: &raw::PrometheusSource) -> Option<Prometheus> {
        let url = raw.url.given()?;
        let server = self.server(url, &HTTP);
        if url.value.rest.contains('?') {
            let help = "write where Prometheus is, and the expression into `query`";
            self.report.error(url.place, "there is no place for a `?` here", help);
        }
        Some(Prometheus {
            server: server?,
            path: url.value.rest.trim_end_matches('/').to_owned(),
            login: login(Some(&url.value), &raw.user, &raw.password)?,
            token: secret(&raw.token)?,
            query: raw.query.value()?.0.clone(),
        })
    }

    fn http(&mut self, raw: &raw::HttpSource) -> Option<Http> {
        let url = raw.url.given()?;
        let server = self.server(url, &HTTP);
        let Located { value: Text(pointer), place } = raw.pointer.given()?;
        if !pointer.is_empty() && !pointer.starts_with('/') {
            let help = "start it with `/`, like `/queue/depth`";
            self.report.error(*place, "this is not a JSON pointer", help);
        }
        let rest = &url.value.rest;
        Some(Http {
            server: server?,
            target: if rest.starts_with('/') { rest.clone() } else { format!("/{rest}") },
            login: login(Some(&url.value), &raw.user, &raw.password)?,
            token: secret(&raw.token)?,
            pointer: pointer.clone(),
        })
    }

    fn kafka(&mut self, raw: &raw::KafkaSource) -> Option<Kafka> {
        let tls = *raw.tls.value()?;
        let Located { value: servers, place } = raw.servers.given()?;
        if servers.is_empty() {
            self.report.error(*place, "no servers", "add one, like `10.0.0.5:9092`");
        }
        let server =
            |server: &HostPort, _: Place| Some(Server { tls, host: server.host.clone(), port: server.port });
        Some(Kafka {
            servers: servers.resolve(server)?,
            login: login(None, &raw.user, &raw.password)?,
            topic: raw.topic.value()?.0.clone(),
            group: raw.group.value()?.0.clone(),
        })
    }

    /// Where a URL with one of these schemes leads: the scheme, whether it is TLS, its usual port.
    fn server(&mut self, url: &Located<Url>, schemes: &[(&'static str, bool, u16)]) -> Option<Server> {
        let Located { value: url, place } = url;
        let Some((_, tls, port)) = schemes.iter().find(|(scheme, ..)| *scheme == url.scheme) else {
            let message = format!("`{}://` is of another system", url.scheme);
            let schemes = schemes.iter().map(|(scheme, ..)| format!("`{scheme}://`")).collect::<Vec<_>>();
            self.report.error(*place, message, format!("start it with {}", schemes.join(" or ")));
            return None;
        };
        Some(Server { tls: *tls, host: url.host.clone(), port: url.port.unwrap_or(*port) })
    }
}

const HTTP: [(&str, bool, u16); 2] = [("http", false, 80), ("https", true, 443)];

fn login(url: Option<&Url>, user: &Field<Text>, password: &Field<SecretReference>) -> Option<Login> {
    let given = user.optional()?.map(|user| user.value.0.clone());
    Some(Login { user: given.or_else(|| url?.user.clone()), password: secret(password)? })
}

#[expect(clippy::option_option, reason = "no secret differs from a broken one")]
fn secret(raw: &Field<SecretReference>) -> Option<Option<Secret>> {
    Some(raw.optional()?.map(|secret| secret.value.0.clone()))
}
