//! `ngx.shared`.

use std::{sync::Arc, time::Duration};

use tidegate_core::{Timestamp, snapshot::LuaSettings};

use crate::support::{Host, NOW, dict_settings};

/// What a script with the dictionary `d` writes.
fn run(source: &str) -> String {
    Host::new().say(&format!("local d = ngx.shared.dogs\n{source}"))
}

/// The same, with a dictionary of several pages.
fn run_large(source: &str) -> String {
    large().say(&format!("local d = ngx.shared.cats\n{source}"))
}

fn large() -> Host {
    let shared_dicts = dict_settings(&[("cats", 8 * 4096)]);
    Host::with_settings(&LuaSettings { shared_dicts, ..LuaSettings::default() })
}

fn failure(source: &str) -> String {
    Host::new().failure(&format!("local d = ngx.shared.dogs\n{source}"))
}

#[test]
fn values_come_back_as_they_were() {
    assert_eq!(run(r#"d:set("a", "x\0y") ngx.print(d:get("a"))"#), "x\0y");
    assert_eq!(run("d:set('a', 0.1) ngx.print(d:get('a') == 0.1, type(d:get('a')))"), "truenumber");
    assert_eq!(run("d:set('a', true) d:set('b', false) ngx.print(d:get('a'), d:get('b'))"), "truefalse");
    assert_eq!(run("d:set('a', '') ngx.print('<', d:get('a'), '>')"), "<>");
    assert_eq!(run("ngx.print(d:get('a'), select('#', d:get('a')))"), "nil1");
    assert_eq!(run("d:set(12, 'n') ngx.print(d:get('12'))"), "n");
}

#[test]
fn flags_come_back_unless_they_are_zero() {
    assert_eq!(run("d:set('a', 1, 0, 7) ngx.print(d:get('a'))"), "17");
    assert_eq!(run("d:set('a', 1, 0, 0) ngx.print(select('#', d:get('a')))"), "1");
    assert_eq!(failure("d:set('a', 1, 0, 'x')"), r#"test.lua:2: bad "flags" argument"#);
}

#[test]
fn keys_and_values_are_checked() {
    assert_eq!(
        run("ngx.print(d:get(nil)) ngx.print(d:get('')) ngx.print(d:get(('x'):rep(65536)))"),
        "nilnil keynilempty keynilkey too long"
    );
    assert_eq!(run("ngx.print(d:set(nil, 1)) ngx.print(d:set('', 1))"), "nilnil keynilempty key");
    assert_eq!(run("ngx.print(d:set('a', {}))"), "nilbad value type");
    assert_eq!(
        run("ngx.print(d:incr(nil, 1)) ngx.print(d:ttl('')) ngx.print(d:expire('', 1))"),
        "nilnil keynilempty keynilempty key"
    );
    assert_eq!(failure("d:set('a', 1, -1)"), r#"test.lua:2: bad "exptime" argument"#);
    assert_eq!(failure("d.get('a')"), r#"test.lua:2: bad "zone" argument"#);
    assert_eq!(failure("d.set({ 'x' }, 'a', 1)"), r#"test.lua:2: bad "zone" argument"#);
    assert_eq!(failure("d.set({ 99 }, 'a', 1)"), r#"test.lua:2: bad "zone" argument"#);
}

#[test]
fn set_answers_how_it_went() {
    assert_eq!(run("ngx.print(d:set('a', 1))"), "truenilfalse");
    assert_eq!(run("d:set('a', 1) ngx.print(d:set('a', nil)) ngx.print(d:get('a'))"), "truenilfalsenil");
    assert_eq!(run("ngx.print(d:set('a', ('x'):rep(5000)))"), "falseno memoryfalse");
    assert_eq!(
        run("d:set('b', 1) ngx.print(d:set('a', ('x'):rep(5000))) ngx.print(d:get('b'))"),
        "falseno memorytruenil"
    );
}

#[test]
fn add_and_replace_depend_on_what_is_there() {
    assert_eq!(
        run("ngx.print(d:add('a', 1)) ngx.print(d:add('a', 2)) ngx.print(d:get('a'))"),
        "truenilfalsefalseexistsfalse1"
    );
    assert_eq!(
        run("ngx.print(d:replace('a', 1)) d:set('a', 1) ngx.print(d:replace('a', 2)) ngx.print(d:get('a'))"),
        "falsenot foundfalsetruenilfalse2"
    );
    assert_eq!(run("ngx.print(d:add('a', nil))"), "nilattempt to add or replace nil values");
    assert_eq!(
        run("ngx.print(d:safe_add('a', 1)) ngx.print(d:safe_add('a', 1))"),
        "truenilfalsefalseexistsfalse"
    );
}

#[test]
fn delete_removes() {
    assert_eq!(
        run("d:set('a', 1) ngx.print(d:delete('a')) ngx.print(d:get('a')) ngx.print(d:delete('a'))"),
        "truenilfalseniltruenilfalse"
    );
}

#[test]
fn incr_counts_from_what_is_there_or_from_init() {
    assert_eq!(run("ngx.print(d:incr('a', 1))"), "nilnot found");
    assert_eq!(
        run("ngx.print(d:incr('a', 2, 10)) ngx.print(d:incr('a', -0.5, 10)) ngx.print(d:incr('a', 1))"),
        "12nilfalse11.5nilfalse12.5"
    );
    assert_eq!(run("d:set('a', 'x') ngx.print(d:incr('a', 1))"), "nilnot a number");
    assert_eq!(run("d:set('a', true) ngx.print(d:incr('a', 1, 0))"), "nilnot a number");
    assert_eq!(run("ngx.print(d:incr('a', '2', '3'))"), "5nilfalse");
    assert_eq!(
        failure("d:incr('a', {})"),
        r#"test.lua:2: bad "value" argument: number expected, got table (cannot convert 'nil' to 'double')"#
    );
    assert_eq!(failure("d:incr('a', 1, {})"), "test.lua:2: bad init arg: number expected, got table");
    assert_eq!(failure("d:incr('a', 1, 0, {})"), "test.lua:2: bad init_ttl arg: number expected, got table");
    assert_eq!(failure("d:incr('a', 1, 0, -1)"), r#"test.lua:2: bad "init_ttl" argument"#);
    assert_eq!(
        failure("d:incr('a', 1, nil, 1)"),
        r#"test.lua:2: must provide "init" when providing "init_ttl""#
    );
}

#[test]
fn entries_expire_by_the_time_that_is_set() {
    let host = Host::new();
    let say = |source: &str| host.say(&format!("local d = ngx.shared.dogs {source}"));
    say("d:set('a', 'x', 10) d:incr('n', 1, 0, 5) d:set('for ever', 1)");
    assert_eq!(say("ngx.print(d:ttl('a'), ' ', d:ttl('n'), ' ', d:ttl('for ever'))"), "10 5 0");
    host.pass(Duration::from_secs(6));
    assert_eq!(say("ngx.print(d:get('a'), d:get('n'), d:ttl('a'))"), "xnil4");
    assert_eq!(say("ngx.print(d:incr('n', 1)) ngx.print(d:incr('n', 1, 0))"), "nilnot found1nilfalse");
    assert_eq!(say("ngx.print(d:expire('a', 100)) ngx.print(d:ttl('a'))"), "true100");
    assert_eq!(say("ngx.print(d:expire('a', 0)) ngx.print(d:ttl('a'))"), "true0");
    assert_eq!(say("ngx.print(d:expire('none', 1)) ngx.print(d:ttl('none'))"), "nilnot foundnilnot found");
    assert_eq!(host.failure("ngx.shared.dogs:expire('a')"), r#"test.lua:1: bad "exptime" argument"#);
}

#[test]
fn a_clock_that_is_set_makes_nothing_expire_and_nothing_stay() {
    let host = Host::new();
    let say = |source: &str| host.say(&format!("local d = ngx.shared.dogs {source}"));
    say("d:set('a', 'x', 10) d:incr('n', 1, 0, 5) d:set('l', 'x', 20)");
    let hour = Duration::from_hours(1);
    for wall in [NOW + hour, Timestamp::from_micros(NOW.as_micros() - hour.as_micros() as u64)] {
        host.pass_until(Duration::from_secs(4), wall);
        assert_eq!(say("ngx.print(d:get('a'), d:get('n'), ' ', d:ttl('a'), d:flush_expired())"), "x1 60");
        let seen = (wall.as_micros() / 1_000) as f64 / 1e3;
        assert_eq!(host.say("ngx.print(ngx.now())"), seen.to_string());
    }
    host.pass_until(Duration::from_secs(10), NOW);
    assert_eq!(say("ngx.print(d:get('a'), d:get('n'), d:get('l'), d:flush_expired())"), "nilnilx2");
}

#[test]
fn expired_entries_are_there_for_who_asks_for_them() {
    let host = Host::new();
    let say = |source: &str| host.say(&format!("local d = ngx.shared.dogs {source}"));
    say("d:set('a', 'x', 1, 3) d:set('b', true, 1)");
    assert_eq!(say("ngx.print(d:get_stale('a'))"), "x3false");
    host.pass(Duration::from_secs(1));
    assert_eq!(
        say("ngx.print(d:get_stale('a')) ngx.print(d:get_stale('b')) ngx.print(d:get_stale('c'))"),
        "x3truetrueniltruenil"
    );
    assert_eq!(
        say("ngx.print(d:replace('a', 1)) ngx.print(d:add('a', 2)) ngx.print(d:get('a'))"),
        "falsenot foundfalsetruenilfalse2"
    );
}

#[test]
fn all_can_be_flushed_and_what_expired_removed() {
    let host = Host::new();
    let say = |source: &str| host.say(&format!("local d = ngx.shared.dogs {source}"));
    say("d:set('a', 1) for i = 1, 5 do d:set(i, i) end d:flush_all() d:expire('a', 0)");
    assert_eq!(say("ngx.print(d:get_stale(1))"), "1niltrue");
    assert_eq!(say("ngx.print(d:flush_expired(2), d:flush_expired(), d:flush_expired())"), "240");
    say("d:set('a', 1) for i = 1, 5 do d:set(i, i, 1) end");
    host.pass(Duration::from_secs(2));
    assert_eq!(say("ngx.print(d:get('a'), d:get(1), d:flush_expired(), d:get('a'))"), "1nil31");
}

#[test]
fn keys_are_listed_from_the_one_that_was_not_used_for_longest() {
    assert_eq!(
        run("for i = 1, 3 do d:set('k' .. i, i) end d:get('k1') ngx.print(table.concat(d:get_keys(), ' '))"),
        "k2 k3 k1"
    );
    assert_eq!(run("for i = 1, 3 do d:set(i, i) end ngx.print(#d:get_keys(2), #d:get_keys(0))"), "23");
}

#[test]
fn least_recently_used_entries_make_room() {
    // The one page of 4 KiB has two pieces of 2 KiB.
    let large = "local v = ('x'):rep(1500)";
    assert_eq!(
        run(&format!(
            "{large} for i = 1, 2 do d:set(i, v) end d:get(1)
            ngx.print(d:set(4, v)) ngx.print(d:get(1) == v, d:get(2), d:get(4) == v)"
        )),
        "trueniltruetrueniltrue"
    );
    assert_eq!(
        run(&format!(
            "{large} for i = 1, 2 do d:set(i, v) end ngx.print(d:safe_set(4, v)) ngx.print(d:get(1) == v)"
        )),
        "falseno memoryfalsetrue"
    );
    // Small entries have 31 pieces beside that page.
    assert_eq!(
        run(&format!(
            "{large} d:set('large', v) for i = 1, 31 do d:set(i, i) end
            ngx.print(d:incr(32, 1, 0)) ngx.print(d:get('large'), d:get(1))"
        )),
        "1niltruenil1"
    );
}

#[test]
fn space_is_accounted_for_by_the_page() {
    assert_eq!(
        run("ngx.print(d:free_space()) d:set('a', 'xyz') ngx.print(' ', d:capacity(), ' ', d:free_space())"),
        "4096 4096 4096"
    );
    assert_eq!(run("d:set('a', ('x'):rep(200)) ngx.print(d:free_space())"), "0");
}

#[test]
fn lists_grow_and_shrink_at_both_ends() {
    assert_eq!(
        run_large(
            "ngx.print(d:lpush('l', 'b'), d:lpush('l', 'a'), d:rpush('l', 3), d:llen('l'), ' ')
            ngx.print(d:lpop('l'), type(d:rpop('l')), d:rpop('l'), d:rpop('l'), d:llen('l'), #d:get_keys())"
        ),
        "1233 anumberbnil00"
    );
    assert_eq!(run_large("d:rpush('l', 1) d:set('l', 'x') ngx.print(d:get('l'))"), "x");
    assert_eq!(run_large("d:rpush('l', 1) ngx.print(d:delete('l')) ngx.print(d:llen('l'))"), "truenilfalse0");
}

#[test]
fn lists_and_values_are_not_mistaken_for_each_other() {
    assert_eq!(
        run_large("d:rpush('l', 1) ngx.print(d:get('l')) ngx.print(d:get_stale('l'))"),
        "nilvalue is a listnilvalue is a list"
    );
    assert_eq!(run_large("d:rpush('l', 1) ngx.print(d:incr('l', 1))"), "nilnot a number");
    let not_a_list = "nilvalue not a list".repeat(5);
    assert_eq!(
        run_large(
            "d:set('a', 1) ngx.print(d:lpush('a', 1)) ngx.print(d:rpush('a', 1))
            ngx.print(d:lpop('a')) ngx.print(d:rpop('a')) ngx.print(d:llen('a'))"
        ),
        not_a_list
    );
    assert_eq!(
        run_large("ngx.print(d:lpush('l', true)) ngx.print(d:rpush('l', {}))"),
        "nilbad value typenilbad value type"
    );
    assert_eq!(
        run_large("ngx.print(d:lpush(nil, 1)) ngx.print(d:rpop('')) ngx.print(d:llen(('x'):rep(65536)))"),
        "nilnil keynilempty keynilkey too long"
    );
    assert_eq!(failure("d:lpush('l')"), "test.lua:2: expecting 3 arguments, but only seen 2");
    assert_eq!(failure("d:rpop()"), "test.lua:2: expecting 2 arguments, but only seen 1");
    assert_eq!(failure("d.llen({}, 'l')"), r#"test.lua:2: bad "zone" argument"#);
}

#[test]
fn lists_expire_as_a_whole_and_begin_anew() {
    let host = large();
    let say = |source: &str| host.say(&format!("local d = ngx.shared.cats {source}"));
    say("d:rpush('l', 1) d:rpush('l', 2) d:expire('l', 1)");
    host.pass(Duration::from_secs(2));
    assert_eq!(say("ngx.print(d:llen('l'), d:lpop('l'), d:rpush('l', 3), d:ttl('l'))"), "0nil10");
    assert_eq!(
        say("local i = 0 while d:rpush('full', ('x'):rep(500)) do i = i + 1 end
            ngx.print(d:rpush('full', ('x'):rep(500))) ngx.print(i > 0, d:llen('full') == i)"),
        "nilno memorytruetrue"
    );
}

#[test]
fn only_configured_dictionaries_are_there() {
    let host = Host::with_settings(&LuaSettings {
        shared_dicts: dict_settings(&[("a", 4096), ("b-c", 4096)]),
        ..LuaSettings::default()
    });
    let names = "local n = {} for k in pairs(ngx.shared) do n[#n + 1] = k end table.sort(n) ngx.print(table.concat(n, ' '))";
    assert_eq!(host.say(names), "a b-c");
    assert_eq!(host.say("ngx.print(ngx.shared.none)"), "nil");
}

#[test]
fn workers_share_the_content() {
    let (one, two) = (Host::new(), Host::new());
    two.vm.set_dicts(Arc::clone(&one.dicts));
    one.say("ngx.shared.dogs:set('a', 'from one')");
    assert_eq!(two.say("ngx.print(ngx.shared.dogs:get('a'))"), "from one");
}

#[test]
fn what_a_script_keeps_of_a_dictionary_outlives_a_new_configuration() {
    let host = Host::with_settings(&LuaSettings {
        shared_dicts: dict_settings(&[("same", 4096), ("larger", 4096), ("gone", 4096)]),
        ..LuaSettings::default()
    });
    host.say(
        "local s = ngx.shared package.loaded.kept = { s.same, s.larger, s.gone }
        for _, d in ipairs(package.loaded.kept) do d:set('a', 1) end",
    );
    let next = host.dicts.reconfigured(&dict_settings(&[("same", 4096), ("larger", 8192), ("new", 4096)]));
    host.vm.set_dicts(next);
    let source = r"
        local s, kept = ngx.shared, package.loaded.kept
        ngx.print(s.same:get('a'), s.larger:get('a'), s.gone, s.new:get('a'), ' ')
        ngx.print(kept[1]:get('a'), kept[2]:get('a'), kept[3]:get('a'), ' ', kept[2]:capacity())";
    assert_eq!(host.say(source), "1nilnilnil 1nil1 8192");
    host.vm.set_dicts(Arc::clone(&host.dicts));
    assert_eq!(host.say("ngx.print(ngx.shared.gone:get('a'), ngx.shared.new)"), "1nil");
}
