//! `ngx.re`.

use tidegate_lua::{Phase, Step};

use crate::support::{Host, Request};

fn run(source: &str) -> String {
    Host::new().say(source)
}

fn failure(source: &str) -> String {
    Host::new().failure(source)
}

#[test]
fn a_match_has_its_groups_by_number_and_name() {
    assert_eq!(
        run(
            r#"local m = ngx.re.match("hello, 1234", "([a-z]+), (?<n>[0-9])(x)?") ngx.print(m[0], m[1], m[2], m[3], m.n, #m)"#
        ),
        "hello, 1hello1false13"
    );
    assert_eq!(run(r#"ngx.print(ngx.re.match("abc", "x"))"#), "nil");
    assert_eq!(run("ngx.print(ngx.re.match(1234, '2')[0])"), "2");
    assert_eq!(run(r#"ngx.print(ngx.re.match("a\0b", "\\x00b")[0] == "\0b")"#), "true");
}

#[test]
fn options_change_what_matches() {
    let matches = |subject: &str, pattern: &str, options: &str| {
        run(&format!(
            "local m, err = ngx.re.match({subject:?}, {pattern:?}, '{options}') ngx.print(m and m[0] or m, err)"
        ))
    };
    assert_eq!(matches("xHELLO", "hello", "i"), "HELLOnil");
    assert_eq!(matches("xhello", "hello", "a"), "nilnil");
    assert_eq!(matches("a\nb", "^b", "m"), "bnil");
    assert_eq!(matches("a\nb", "a.b", ""), "nilnil");
    assert_eq!(matches("a\nb", "a.b", "sjo"), "a\nbnil");
    assert_eq!(matches("ab", "a b # and more", "x"), "abnil");
    assert_eq!(matches("ä", "^.$", "u"), "änil");
    assert_eq!(matches("ä", "^.$", ""), "nilnil");
    assert_eq!(matches("ä", "^.$", "U"), "änil");
    assert_eq!(matches("ä", "^.$", "Ud"), "änil");
    assert_eq!(matches("aab", "a|aa|aab", "d"), "aabnil");
    assert_eq!(matches("a", "a[]", "J"), "nilnil");
    assert_eq!(failure("ngx.re.match('a', 'a', 'Hm')"), r#"test.lua:1: unknown flag "H" (flags "Hm")"#);
    assert_eq!(failure("ngx.re.gsub('a', 'a', '', 'Hm')"), r#"test.lua:1: unknown flag "H" (flags "Hm")"#);
}

#[test]
fn duplicate_names_are_lists() {
    assert_eq!(
        run(r#"local m = ngx.re.match("ab", "(?<x>a)(?<x>b)(?<x>c)?", "D") ngx.print(#m.x, m.x[1], m.x[2])"#),
        "2ab"
    );
}

#[test]
fn errors_are_those_of_pcre2() {
    assert_eq!(
        run(r#"ngx.print(ngx.re.match("a", "(abc"))"#),
        r#"nilpcre2_compile() failed: missing closing parenthesis in "(abc""#
    );
    assert_eq!(
        run(r#"ngx.print(ngx.re.find("a", "a(*X)b"))"#),
        r#"nilnilpcre2_compile() failed: (*VERB) not recognized or malformed in "a(*X)b" at ")b""#
    );
    assert_eq!(run(r#"ngx.print(ngx.re.match("\xff", ".", "u"))"#), "nilpcre_exec() failed: -23");
    assert_eq!(run(r#"ngx.print(ngx.re.match("a", "a", "", { pos = 9 }))"#), "nilpcre_exec() failed: -33");
    assert_eq!(run(r#"ngx.print(ngx.re.gsub("\xff", ".", "", "u"))"#), "nilnilpcre_exec() failed: -23");
}

#[test]
fn a_context_says_where_to_start_and_where_the_match_ended() {
    assert_eq!(
        run(r#"local ctx = { pos = 3 } ngx.print(ngx.re.match("1234", "[0-9]", "jo", ctx)[0], ctx.pos)"#),
        "34"
    );
    assert_eq!(run(r#"local ctx = {} ngx.re.find("1234", "3", "", ctx) ngx.print(ctx.pos)"#), "4");
    assert_eq!(run(r#"ngx.print(ngx.re.match("1234", "^2", "", { pos = 2 }))"#), "nil");
    assert_eq!(run(r#"ngx.print(ngx.re.match("1234", "2", "a", { pos = 2 })[0])"#), "2");
}

#[test]
fn a_table_for_the_result_is_used_again() {
    assert_eq!(
        run(
            r#"local t = { 9, 9, 9, x = 1 } local m = ngx.re.match("ab", "(a)(c)?", "", nil, t) ngx.print(m == t, t[0], t[1], t[2], t[3], t.x)"#
        ),
        "trueaafalse91"
    );
}

#[test]
fn find_answers_places() {
    assert_eq!(run(r#"ngx.print(ngx.re.find("hello, 1234", "([0-9])([0-9]+)", "jo"))"#), "811");
    assert_eq!(run(r#"ngx.print(ngx.re.find("hello, 1234", "([0-9])([0-9]+)", "jo", nil, 2))"#), "911");
    assert_eq!(run(r#"ngx.print(ngx.re.find("hello", "l(x)?", nil, nil, 1))"#), "nilnil");
    assert_eq!(run(r#"ngx.print(ngx.re.find("hello", "l", nil, nil, 1))"#), "nilnilnth out of bound");
    assert_eq!(run(r#"ngx.print(ngx.re.find("hello", ""))"#), "10");
    assert_eq!(run(r#"ngx.print(ngx.re.find("hello", "x"))"#), "nil");
}

#[test]
fn gmatch_walks_over_all_matches() {
    assert_eq!(
        run(r#"for m in ngx.re.gmatch("a, b, c", "[a-z]", "jo") do ngx.print(m[0], ";") end"#),
        "a;b;c;"
    );
    assert_eq!(run(r#"for m in ngx.re.gmatch("ab", "x*") do ngx.print("<", m[0], ">") end"#), "<><><>");
    assert_eq!(run(r#"local it = ngx.re.gmatch("a", "a") ngx.print(it()[0], it(), it())"#), "anilnil");
    assert_eq!(
        run(r#"local it, err = ngx.re.gmatch("a", "(a") ngx.print(it, err)"#),
        r#"nilpcre2_compile() failed: missing closing parenthesis in "(a""#
    );
}

#[test]
fn sub_and_gsub_replace_by_a_template() {
    assert_eq!(
        run(r#"ngx.print(ngx.re.sub("hello, 1234", "([0-9])[0-9]", "[$0][$1]"))"#),
        "hello, [12][1]341"
    );
    assert_eq!(run(r#"ngx.print(ngx.re.gsub("a-b-c", "([a-z])", "${1}1$$", "jo"))"#), "a1$-b1$-c1$3");
    assert_eq!(run(r#"ngx.print(ngx.re.gsub("abc", "x", "y"))"#), "abc0");
    assert_eq!(run(r#"ngx.print(ngx.re.gsub("abc", "", "-"))"#), "-a-b-c-4");
    assert_eq!(run("ngx.print(ngx.re.sub('abc', 'b', 5))"), "a5c1");
}

#[test]
fn templates_are_checked() {
    let host = Host::new();
    let replace = |template: &str| {
        let said = host.say(&format!("ngx.print(ngx.re.sub('a', '(a)', '{template}'))"));
        let log: Vec<_> = host.take_log().into_iter().map(|(_, line)| line).collect();
        assert_eq!(said, "nilnilfailed to compile the replacement template");
        log.concat()
    };
    assert_eq!(replace("$"), r#"lua script: invalid capturing variable name found in "$""#);
    assert_eq!(replace("a$-b"), r#"lua script: invalid capturing variable name found in "a$-b""#);
    assert_eq!(replace("${1a}"), r#"the closing bracket in "1" variable is missing"#);
    assert_eq!(
        replace("$name"),
        r#"attempt to use named capturing variable "name" (named captures not supported yet)"#
    );
}

#[test]
fn sub_and_gsub_replace_by_what_a_function_says() {
    assert_eq!(
        run(r#"ngx.print(ngx.re.gsub("hello, 1234", "[0-9]", function(m) return "[" .. m[0] .. "]" end))"#),
        "hello, [1][2][3][4]4"
    );
    assert_eq!(run(r#"ngx.print(ngx.re.sub("abc", "b", function() return 7 end))"#), "a7c1");
    // The function may use the same expression.
    assert_eq!(
        run(
            r#"ngx.print(ngx.re.gsub("abc", "[a-z]", function(m) ngx.re.match("xyz", "[a-z]", "jo") return m[0] .. "." end, "jo"))"#
        ),
        "a.b.c.3"
    );
    assert!(failure("ngx.re.gsub('abc', 'b', function() error('no') end)").ends_with("no"));
}

#[test]
fn the_cache_forgets_what_was_not_used() {
    assert_eq!(
        run(r#"
            local n = 0
            for round = 1, 2 do
                for i = 1, 3000 do
                    if ngx.re.match("x" .. i .. "y", "^x" .. i .. "y$", "jo") then n = n + 1 end
                end
            end
            collectgarbage() collectgarbage()
            ngx.print(n)"#),
        "6000"
    );
}

#[test]
fn what_scripts_used_that_are_gone_is_forgotten() {
    let host = Host::new();
    for version in 0..1_000 {
        let source = format!("ngx.re.match('a', 'a|{version}', 'jo') ngx.re.match('a', '^a', 'jo')");
        let step = host.vm.start(&host.load(&source), Phase::Content, &mut Request::get("/"));
        assert!(matches!(step, Step::Done(_)));
        host.vm.tend();
    }
    let kept = host.say(
        "local function inside(f, wanted)
            for index = 1, math.huge do
                local name, value = debug.getupvalue(f, index)
                if not name or name == wanted then return value end
            end
        end
        local set, kept = inside(inside(ngx.re.match, 'regex_of'), 'options').jo, 0
        for _, generation in ipairs({ set.young, set.old }) do
            for _ in pairs(generation) do kept = kept + 1 end
        end
        ngx.print(kept, ' ', set.young['^a'] ~= nil)",
    );
    let kept: usize = kept.strip_suffix(" true").expect("what is used stays").parse().unwrap();
    // As many as scripts may be gone before they are noticed to be, twice over, and not 1,000.
    assert!((2..200).contains(&kept), "{kept}");
}

#[test]
fn a_finalizer_that_matches_disturbs_nobody() {
    assert_eq!(
        run(r#"
            local wrong = 0
            for i = 1, 3000 do
                local p = newproxy(true)
                getmetatable(p).__gc = function() ngx.re.match("zz-yy", "([a-z0-9]+)-([a-z0-9]+)", "jo") end
                p = nil
                local m = ngx.re.match("a" .. i .. "-b" .. i, "([a-z0-9]+)-([a-z0-9]+)", "jo")
                if m[1] ~= "a" .. i or m[2] ~= "b" .. i then wrong = wrong + 1 end
            end
            ngx.print(wrong)"#),
        "0"
    );
}

#[test]
fn split_cuts_at_matches() {
    let split = |arguments: &str| {
        run(&format!(
            r#"local t, err = require("ngx.re").split({arguments}) if not t then ngx.print(err) else for _, p in ipairs(t) do ngx.print("<", p, ">") end end"#
        ))
    };
    assert_eq!(split(r#""a,b,c,d", ",""#), "<a><b><c><d>");
    assert_eq!(split(r#""a,b,c,d", ",", nil, nil, 3"#), "<a><b><c,d>");
    assert_eq!(split(r#""a,b,,", ",""#), "<a><b>");
    assert_eq!(split(r#""a1b2c", "([0-9])""#), "<a><1><b><2><c>");
    assert_eq!(split(r#""abcd", """#), "<a><b><c><d>");
    assert_eq!(split(r#""a,b", ",", nil, { pos = 3 }"#), "<b>");
    assert_eq!(split(r#""a,b", "(,""#), r#"pcre2_compile() failed: missing closing parenthesis in "(,""#);
    assert_eq!(split(r#""a,b", ",", nil, nil, nil, { 1, 2, 3, 4 }"#), "<a><b>");
    assert!(
        failure(r#"require("ngx.re").split("a", "b", nil, nil, nil, "t")"#).ends_with("res is not a table")
    );
}

#[test]
fn the_stack_of_compiled_expressions_can_be_set_until_there_are_any() {
    let pattern = r#"ngx.print(ngx.re.find(("a"):rep(20000), "^(?:(a)|b)*$", "jo"))"#;
    assert_eq!(run(pattern), "nilnilpcre_exec() failed: -46");
    assert_eq!(
        run(&format!(r#"require("ngx.re").opt("jit_stack_size", 16 * 1024 * 1024) {pattern}"#)),
        "120000"
    );
    assert!(failure(&format!(r#"{pattern} require("ngx.re").opt("jit_stack_size", 65536)"#)).ends_with(
        "changing jit stack size is not allowed when some regexs have already been compiled and cached"
    ));
    assert!(failure(r#"require("ngx.re").opt("x", 1)"#).ends_with("unrecognized option name"));
}
