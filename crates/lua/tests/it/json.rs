//! `cjson`.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Host, Request};

fn run(source: &str) -> String {
    Host::new().say(&format!("local cjson = require 'cjson' {source}"))
}

fn encode(value: &str) -> String {
    run(&format!("ngx.print(cjson.encode({value}))"))
}

/// What `cjson.safe` says is wrong.
fn wrong(call: &str) -> String {
    run(&format!("local safe = require 'cjson.safe' local v, err = safe.{call} ngx.print(v, ' ', err)"))
}

#[test]
fn values_become_json() {
    assert_eq!(encode("{ 1, 'a', true, false, cjson.null, 0.5 }"), r#"[1,"a",true,false,null,0.5]"#);
    assert_eq!(encode("{ a = { b = { 1 } } }"), r#"{"a":{"b":[1]}}"#);
    assert_eq!(encode("{ [1.5] = 'x' }"), r#"{"1.5":"x"}"#);
    assert_eq!(encode(r#""a/\"\\\b\f\n\r\t\1\127ä""#), "\"a\\/\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u007fä\"");
    assert_eq!(encode("nil"), "null");
    assert_eq!(encode("{ 1, nil, 3 }"), "[1,null,3]");
}

#[test]
fn empty_tables_are_what_they_are_said_to_be() {
    assert_eq!(encode("{}"), "{}");
    assert_eq!(encode("{ cjson.empty_array }"), "[[]]");
    assert_eq!(encode("setmetatable({}, cjson.empty_array_mt)"), "[]");
    assert_eq!(encode("setmetatable({ a = 1 }, cjson.empty_array_mt)"), r#"{"a":1}"#);
    assert_eq!(encode("setmetatable({ 1, 2, a = 1 }, cjson.array_mt)"), "[1,2]");
    assert_eq!(run("cjson.encode_empty_table_as_object(false) ngx.print(cjson.encode({}))"), "[]");
    assert_eq!(
        run("cjson.decode_array_with_array_mt(true) ngx.print(cjson.encode(cjson.decode('[[],{}]')))"),
        "[[],{}]"
    );
}

#[test]
fn sparse_arrays_are_refused_or_converted() {
    assert_eq!(wrong("encode({ [20] = 1 })"), "nil Cannot serialise table: excessively sparse array");
    assert_eq!(run("cjson.encode_sparse_array(true) ngx.print(cjson.encode({ [20] = 1 }))"), r#"{"20":1}"#);
    assert_eq!(run("ngx.print(cjson.encode_sparse_array(false, 3, 5))"), "false35");
    assert_eq!(encode("{ [10] = 1 }"), "[null,null,null,null,null,null,null,null,null,1]");
}

#[test]
fn what_has_no_json_is_an_error() {
    assert_eq!(wrong("encode(print)"), "nil Cannot serialise function: type not supported");
    assert_eq!(
        wrong("encode({ [true] = 1 })"),
        "nil Cannot serialise boolean: table key must be a number or string"
    );
    assert_eq!(wrong("encode(1/0)"), "nil Cannot serialise number: must not be NaN or Infinity");
    assert_eq!(
        run("cjson.encode_invalid_numbers(true) ngx.print(cjson.encode({ 1/0, -1/0 }))"),
        "[Infinity,-Infinity]"
    );
    assert_eq!(run("cjson.encode_invalid_numbers('null') ngx.print(cjson.encode({ 0/0 }))"), "[null]");
    assert_eq!(
        run("local t = {} t.t = t ngx.print(pcall(cjson.encode, t))"),
        "falseCannot serialise, excessive depth (1001)"
    );
    assert_eq!(
        run("cjson.encode_max_depth(1) ngx.print(pcall(cjson.encode, {{}}))"),
        "falseCannot serialise, excessive depth (2)"
    );
    assert_eq!(
        run("cjson.encode_skip_unsupported_value_types(true) ngx.print(cjson.encode({ a = print, b = 1 }))"),
        r#"{"b":1}"#
    );
}

#[test]
fn json_becomes_values() {
    assert_eq!(
        run(
            r#"local t = cjson.decode('{"a":[1,2,{"b":null}],"c":"\\u00e4\\ud83d\\ude00","d":true,"d":false}')
            ngx.print(#t.a, t.a[3].b == cjson.null, t.a[3].b == ngx.null, t.c, t.d)"#
        ),
        "3truetrueä😀false"
    );
    assert_eq!(
        run("ngx.print(cjson.decode(' 12 '), cjson.decode('-1.5e2'), cjson.decode('0x10'))"),
        "12-15016"
    );
    assert_eq!(run("local t = cjson.decode('[' .. ('1,'):rep(99) .. '2]') ngx.print(#t, t[100])"), "1002");
}

#[test]
fn objects_need_not_be_as_large_as_the_one_before() {
    let members = |count| (0..count).map(|n| format!("\"k{n}\":{n}")).collect::<Vec<_>>().join(",");
    for counts in [[3, 1, 0, 2, 17], [16, 40, 1, 0, 5]] {
        let objects = counts.map(|count| format!("{{{}}}", members(count)));
        let count =
            "local n = 0 for _, object in ipairs(all) do for key, v in pairs(object) do n = n + v end end";
        let sum: i32 = counts.iter().map(|&count| count * (count - 1) / 2).sum();
        let script =
            format!("local all = cjson.decode('[{}]') {count} ngx.print(#all, ' ', n)", objects.join(","));
        assert_eq!(run(&script), format!("5 {sum}"));
    }
    let twice = r#"ngx.print(cjson.encode(cjson.decode('[{"a":1},{"a":1,"a":2},{"a":3,"a":4}]')))"#;
    assert_eq!(run(twice), r#"[{"a":1},{"a":2},{"a":4}]"#);
}

#[test]
fn what_is_not_json_is_an_error() {
    assert_eq!(wrong("decode('')"), "nil Expected value but found T_END at character 1");
    assert_eq!(
        wrong("decode('{\"a\":1')"),
        "nil Expected comma or object end but found T_END at character 7"
    );
    assert_eq!(wrong("decode('[1 2]')"), "nil Expected comma or array end but found T_NUMBER at character 4");
    assert_eq!(
        wrong("decode('{a:1}')"),
        "nil Expected object key string but found invalid token at character 2"
    );
    assert_eq!(wrong("decode('{\"a\" 1}')"), "nil Expected colon but found T_NUMBER at character 6");
    assert_eq!(wrong("decode('1 2')"), "nil Expected the end but found T_NUMBER at character 3");
    assert_eq!(
        wrong("decode('\"abc')"),
        "nil Expected value but found unexpected end of string at character 5"
    );
    assert_eq!(
        wrong("decode([[\"\\q\"]])"),
        "nil Expected value but found invalid escape code at character 2"
    );
    assert_eq!(
        wrong("decode([[\"\\ud800\"]])"),
        "nil Expected value but found invalid unicode escape code at character 2"
    );
    assert_eq!(
        wrong("decode(('['):rep(1001))"),
        "nil Found too many nested data structures (1001) at character 1001"
    );
    assert_eq!(run("ngx.print(#cjson.decode(('['):rep(1000) .. (']'):rep(1000)))"), "1");
    assert_eq!(
        run(
            "ngx.print(cjson.decode_max_depth(), cjson.decode_max_depth(2), cjson.decode('[[1]]')[1][1], ' ')
            ngx.print(pcall(cjson.decode, '[{\"a\":[]}]'))"
        ),
        "100021 falseFound too many nested data structures (3) at character 7"
    );
    assert_eq!(
        run("ngx.print(select(2, pcall(cjson.decode_max_depth, 0)), ' ', select(2, pcall(cjson.decode_max_depth, 'x')), ' ')
            ngx.print(select(2, pcall(cjson.decode_max_depth, 1, 2)), ' ', cjson.decode_max_depth())"),
        "bad argument #1 to 'decode_max_depth' (expected integer between 1 and 2147483647) \
         bad argument #1 to 'decode_max_depth' (number expected, got string) \
         bad argument #2 to 'decode_max_depth' (found too many arguments) 1000"
    );
    assert_eq!(wrong("decode('\\0\\0')"), "nil JSON parser does not support UTF-16 or UTF-32");
    assert_eq!(
        Host::new().failure("require('cjson').decode('nope')"),
        "test.lua:1: Expected value but found invalid token at character 1"
    );
}

#[test]
fn instances_have_settings_of_their_own() {
    assert_eq!(
        run("local other = cjson.new() other.encode_number_precision(3)
            ngx.print(other.encode(1/3), cjson.encode(1/3), other.encode_number_precision())"),
        "0.3330.333333333333333"
    );
    assert_eq!(run("cjson.encode_escape_forward_slash(false) ngx.print(cjson.encode('a/b'))"), r#""a/b""#);
    assert_eq!(
        run("ngx.print(cjson._NAME, cjson._VERSION, cjson.encode_keep_buffer())"),
        "cjson2.1.0.14true"
    );
    assert!(
        Host::new()
            .failure("require('cjson').encode_max_depth(0)")
            .contains("expected integer between 1 and 2147483647")
    );
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 80, 40, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..40).prop_map(Value::from),
            prop::collection::hash_map("[a-z]{1,6}", inner, 1..40).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn documents_survive_the_way_there_and_back(value in value()) {
        let host = Host::new();
        let mut request = Request::get("/");
        request.body = Some(value.to_string().into_bytes());
        let source = "local cjson = require 'cjson' cjson.decode_array_with_array_mt(true) ngx.req.read_body()
            ngx.print(cjson.encode(cjson.decode(ngx.req.get_body_data())))";
        host.answer(source, &mut request);
        let back: Value = serde_json::from_slice(&request.output).unwrap();
        prop_assert_eq!(back, value);
    }

    #[test]
    fn the_decoder_takes_what_the_standard_takes(text in r#"[\[\]{},:"\\ntrue0-9.e \-]{0,24}"#) {
        let host = Host::new();
        let mut request = Request::get("/");
        request.body = Some(text.clone().into_bytes());
        let source = "local safe = require 'cjson.safe' ngx.req.read_body()
            local _, err = safe.decode(ngx.req.get_body_data() or '') ngx.print(err or 'ok')";
        host.answer(source, &mut request);
        if serde_json::from_str::<Value>(&text).is_ok() {
            prop_assert_eq!(request.output(), "ok");
        }
    }
}
