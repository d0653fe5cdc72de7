//! `sources`: where work waits that no request tells of.

use crate::{
    decode::{List, record},
    leaf::{
        address::HostPort,
        source::{SecretReference, Url},
        text,
    },
    units::{Count, HOUR, MINUTE, Span},
};

record! {
    /// Where work waits, and how it is found out how much: one of the systems, and how often it is asked.
    Source {
        /// A list or a stream of Redis.
        redis: RedisSource = optional,
        /// A consumer of NATS JetStream.
        nats: NatsSource = optional,
        /// A queue of RabbitMQ.
        rabbitmq: RabbitmqSource = optional,
        /// A query to PostgreSQL.
        postgresql: PostgresqlSource = optional,
        /// A query to Prometheus.
        prometheus: PrometheusSource = optional,
        /// A number in JSON that is fetched by HTTP.
        http: HttpSource = optional,
        /// What a consumer group of Kafka lags behind.
        kafka: KafkaSource = optional,
        /// From one reading to the next. A reading counts for two of these and a time-out; then it is not known how
        /// much waits, and `fallback` of the trigger says what counts.
        interval: Span<100, HOUR> = default("1s"),
        /// The longest that a reading may take, connecting included.
        timeout: Span<10, MINUTE> = default("2s"),
        /// File of the certificates in PEM that servers must be trusted by, relative to the folder of the
        /// configuration. Without it: those of the system. Read with each connection, as the next two are.
        trusted_certificate: text::File = optional,
        /// File of the certificate in PEM that is shown to servers that ask for one, and of those between it and whom
        /// they trust. With `clientKey`.
        client_certificate: text::File = optional,
        /// File of its private key, in PEM.
        client_key: text::File = optional,
    }
    one_of: ["redis", "nats", "rabbitmq", "postgresql", "prometheus", "http", "kafka"]
}

record! {
    /// A list or a stream of Redis.
    RedisSource {
        /// `redis://HOST:PORT/DATABASE`, or `rediss://` for TLS.
        url: Url = required("redis://127.0.0.1:6379"),
        /// Key of a list: its elements count, and those that workers have taken and not finished.
        list: text::Filled = optional,
        /// Key of a stream, with `group`: what the group has not acknowledged counts.
        stream: text::Filled = optional,
        /// Consumer group of the stream.
        group: text::Filled = optional,
        /// User, if there are any.
        user: text::Text = optional,
        /// Password, as a reference: `${env:NAME}` or `${file:PATH}`.
        password: SecretReference = optional,
    }
}

record! {
    /// A consumer of NATS JetStream: messages that it has not delivered and such that are not acknowledged count.
    NatsSource {
        /// `nats://HOST:PORT`, or `tls://` for TLS.
        url: Url = required("nats://127.0.0.1:4222"),
        /// The stream.
        stream: text::Text = required("ORDERS"),
        /// The durable pull consumer. Workers make it when it is missing.
        consumer: text::Text = required("workers"),
        /// User, if there are any.
        user: text::Text = optional,
        /// Password, as a reference.
        password: SecretReference = optional,
        /// Token, as a reference.
        token: SecretReference = optional,
    }
}

record! {
    /// A queue of RabbitMQ: messages that are ready count.
    RabbitmqSource {
        /// `amqp://HOST:PORT`, or `amqps://` for TLS.
        url: Url = required("amqp://127.0.0.1:5672"),
        /// The queue. It must exist.
        queue: text::Filled = required("orders"),
        /// Virtual host.
        virtual_host: text::Text = default("/"),
        /// User; `guest` without it.
        user: text::Text = optional,
        /// Password, as a reference; `guest` without it.
        password: SecretReference = optional,
    }
}

record! {
    /// A query to PostgreSQL: the first column of the first row counts; no row, or NULL, is zero.
    PostgresqlSource {
        /// `postgresql://HOST:PORT/DATABASE`, with `?sslmode=verify-full` for TLS.
        url: Url = required("postgresql://127.0.0.1:5432/shop"),
        /// The query. It runs in a transaction that may only read.
        query: text::Filled = required("select count(*) from jobs where done_at is null"),
        /// User; `postgres` without it.
        user: text::Text = optional,
        /// Password, as a reference.
        password: SecretReference = optional,
    }
}

record! {
    /// A query to Prometheus: a scalar, or a vector of one element; an empty vector is zero.
    PrometheusSource {
        /// `http://HOST:PORT`, or `https://`; what stands before `/api/v1/query`.
        url: Url = required("http://127.0.0.1:9090"),
        /// The expression.
        query: text::Filled = required("sum(queue_depth)"),
        /// User of basic authentication.
        user: text::Text = optional,
        /// Its password, as a reference.
        password: SecretReference = optional,
        /// Bearer token, as a reference.
        token: SecretReference = optional,
    }
}

record! {
    /// A number in JSON that is fetched by HTTP.
    HttpSource {
        /// `http://` or `https://`.
        url: Url = required("http://127.0.0.1:8080/stats"),
        /// JSON pointer (RFC 6901) to a number, or to a text that is one. Empty: the whole answer.
        pointer: text::Text = default("\"\""),
        /// User of basic authentication.
        user: text::Text = optional,
        /// Its password, as a reference.
        password: SecretReference = optional,
        /// Bearer token, as a reference.
        token: SecretReference = optional,
    }
}

record! {
    /// What a consumer group of Kafka lags behind, all partitions of a topic together.
    KafkaSource {
        /// Brokers to begin with, each with its port.
        servers: List<HostPort> = required("[127.0.0.1:9092]"),
        /// Whether brokers speak TLS.
        tls: bool = default("false"),
        /// The topic.
        topic: text::Filled = required("orders"),
        /// The consumer group.
        group: text::Filled = required("workers"),
        /// User of SASL PLAIN.
        user: text::Text = optional,
        /// Its password, as a reference.
        password: SecretReference = optional,
    }
}

record! {
    /// How a fleet with `consume` works on messages.
    Worker {
        /// Messages that an instance works on at once.
        concurrency: Count<1, 1_000> = default("10"),
        /// How often a message is tried before it becomes a dead letter.
        attempts: Count<1, 1_000> = default("5"),
        /// Until a message that failed is tried again; twice as long after each further failure.
        back_off: Span<10, HOUR> = default("1s"),
        /// The longest of these waits.
        back_off_max: Span<10, { 24 * HOUR }> = default("1m"),
        /// How long a message may be worked on; then it has failed.
        timeout: Span<100, { 24 * HOUR }> = default("1m"),
        /// Where dead letters go: a key (Redis), a subject (NATS), a queue (RabbitMQ). Without it, the name of what is
        /// consumed with `.dead`, or `dead.STREAM.CONSUMER` of NATS.
        dead_letter: text::Filled = optional,
    }
}
