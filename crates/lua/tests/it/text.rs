//! Encodings and digests.

use crate::support::Host;

/// What an expression gives, as text.
fn eval(expression: &str) -> String {
    Host::new().say(&format!("ngx.print({expression})"))
}

#[test]
fn uris_are_escaped_by_kind() {
    assert_eq!(eval("ngx.escape_uri('a b/ä?')"), "a%20b%2F%C3%A4%3F");
    assert_eq!(eval("ngx.escape_uri('/a b?', 0)"), "/a%20b%3F");
    assert_eq!(eval("ngx.escape_uri(12), ngx.escape_uri(nil), ngx.escape_uri('plain')"), "12plain");
    assert_eq!(Host::new().failure("ngx.escape_uri('a', 7)"), r#"test.lua:1: "type" 7 out of range"#);
    assert_eq!(Host::new().failure("ngx.escape_uri('a', 'x')"), r#"test.lua:1: "type" is not a number"#);
}

#[test]
fn uris_are_unescaped() {
    assert_eq!(eval("ngx.unescape_uri('a%20b+c%2f%zz'), ngx.unescape_uri(nil)"), "a b c/%zz");
}

#[test]
fn arguments_are_encoded() {
    assert_eq!(eval("ngx.encode_args({ ['a b'] = 'c d' })"), "a%20b=c%20d");
    assert_eq!(eval("ngx.encode_args({ a = { 1, true, false, 'x&' } })"), "a=1&a&a=x%26");
    assert_eq!(
        eval("ngx.encode_args({ a = true }), ngx.encode_args({ a = false }), ngx.encode_args({})"),
        "a"
    );
    let host = Host::new();
    assert_eq!(
        host.failure("ngx.encode_args({ a = print })"),
        "test.lua:1: attempt to use function as query arg value"
    );
    assert_eq!(
        host.failure("ngx.encode_args({ 'a' })"),
        r#"test.lua:1: attempt to use a non-string key in the "args" option table"#
    );
    assert!(host.failure("ngx.encode_args()").contains("table expected, got no value"));
}

#[test]
fn arguments_are_decoded() {
    let source = r"
        local args, err = ngx.decode_args('a=1&b=%20&c&a=2', 3)
        ngx.say(args.a, args.b, args.c, err)
        ngx.say(#ngx.decode_args('a=1&a=2').a, next(ngx.decode_args('')))";
    assert_eq!(Host::new().say(source), "1 truetruncated\n2nil\n");
    assert!(Host::new().failure("ngx.decode_args()").contains("string expected, got nil"));
}

#[test]
fn digests_are_the_standard_ones() {
    assert_eq!(eval("ngx.md5('hello')"), "5d41402abc4b2a76b9719d911017c592");
    assert_eq!(eval("#ngx.md5_bin('hello'), ngx.md5()"), "16d41d8cd98f00b204e9800998ecf8427e");
    assert_eq!(eval("ngx.encode_base64(ngx.sha1_bin('hello'))"), "qvTGHdzF6KLavt4PO0gs2a6pQ00=");
    assert_eq!(
        eval("ngx.encode_base64(ngx.hmac_sha1('thisisverysecretstuff', 'some string we want to sign'))"),
        "R/pvxzHC4NLtj7S+kXFg/NePTmk="
    );
    assert_eq!(
        eval("ngx.crc32_short('hello world'), ' ', ngx.crc32_long('hello world')"),
        "222957957 222957957"
    );
}

#[test]
fn base64_is_read_with_padding_and_without() {
    assert_eq!(
        eval("ngx.encode_base64('a?>'), ngx.encode_base64('a'), ngx.encode_base64('a', true)"),
        "YT8+YQ==YQ"
    );
    assert_eq!(eval("ngx.decode_base64('YQ=='), ngx.decode_base64('YQ'), ngx.decode_base64('')"), "aa");
    assert_eq!(
        eval("ngx.decode_base64('Y'), ngx.decode_base64('*'), ngx.decode_base64('YQ-_')"),
        "nilnilnil"
    );
    assert_eq!(eval(r"ngx.decode_base64mime('Y\nW J\rj=')"), "abc");
    assert_eq!(Host::new().failure("ngx.decode_base64(1)"), "test.lua:1: string argument only");
    assert_eq!(
        Host::new().failure("ngx.encode_base64('a', 1)"),
        "test.lua:1: bad no_padding: boolean expected, got number"
    );
}

#[test]
fn conversions_of_set_misc_are_there() {
    let host = Host::new();
    assert_eq!(
        host.say("local set = ndk.set_var
            ngx.print(set.set_escape_uri('a b'), ' ', set.set_unescape_uri('a%20b'), ' ', set.set_encode_base64('a'),
                ' ', set.set_decode_base64('YQ=='), ' ', set.set_quote_sql_str(\"it's\"), ' ', #set.set_md5('a'))"),
        r"a%20b a b YQ== a 'it\'s' 32"
    );
    assert_eq!(host.say("ngx.print(ndk.set_var.set_decode_base64('?'))"), "", "what is no base64 is nothing");
    assert_eq!(
        host.failure("ndk.set_var.set_none('a')"),
        "test.lua:1: ndk.set_var: directive \"set_none\" not found or does not use ndk_set_var_value"
    );
}
