//! What `/metrics` tells of a running node's Lua.

use tidegate_testkit::{Tidegate, http};

use crate::TIDEGATE;

fn listening(rest: &str) -> Tidegate {
    let head = "listeners: [{ address: \"{listen}\" }]\nadmin: { address: \"{admin}\" }\nworkers: 1\n";
    Tidegate::setup(TIDEGATE).start(&format!("{head}{rest}"))
}

#[test]
fn dictionaries_show_what_they_hold_and_what_they_dropped() {
    let tidegate = listening(
        "lua: { sharedDicts: { small: 64KiB, idle: 128KiB } }
routes:
  - name: put
    match: { path: /* }
    lua:
      content: |
        for i = 1, tonumber(ngx.var.arg_n) do ngx.shared.small:set(ngx.var.arg_k .. i, ('x'):rep(1000)) end
        ngx.say(#ngx.shared.small:get_keys(0), ' ', ngx.shared.small:free_space())",
    );
    let put = |query: &str| {
        let answer = http::get(tidegate.addr(), query).text().to_owned();
        let (items, free) = answer.trim().split_once(' ').unwrap();
        (items.parse::<u64>().unwrap(), free.parse::<u64>().unwrap())
    };
    let page = || http::get(tidegate.admin(), "/metrics").text().to_owned();
    let value = |metric: &str, dict: &str| {
        let series = format!("tidegate_lua_dict_{metric}{{dict=\"{dict}\"}} ");
        page().lines().find_map(|line| line.strip_prefix(&series)?.parse::<u64>().ok())
    };
    let (items, free) = put("/?k=a&n=5");
    assert_eq!(items, 5);
    assert_eq!(value("items", "small"), Some(items));
    assert_eq!(value("free_bytes", "small"), Some(free));
    assert_eq!(value("capacity_bytes", "small"), Some(65_536));
    assert_eq!(value("evictions_total", "small"), Some(0));
    let (items, _) = put("/?k=b&n=100");
    assert!(items < 100, "64 KiB hold no more than 64 KB: {items}");
    assert_eq!(value("evictions_total", "small"), Some(105 - items));
    assert_eq!(value("items", "idle"), Some(0));
    assert_eq!(value("capacity_bytes", "idle"), Some(131_072));
}
