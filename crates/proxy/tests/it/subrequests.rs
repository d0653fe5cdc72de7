//! Requests that Lua makes within a request.

use std::fs;

use tidegate_testkit::{
    Answer, Upstream,
    http::{self, Client},
};

use crate::node::Running;

fn running(content: &str, rest: &str) -> Running {
    let content = content.replace('\n', "\n        ");
    Running::start(&format!(
        "routes:\n  - match: {{ path: /main }}\n    vars: {{ a: outer, b: '' }}\n    lua:\n      content: |\n        {content}\n{rest}"
    ))
}

const ECHO: &str = "  - match: { path: /echo/* }
    internal: true
    lua:
      access: ngx.exit(403)
      content: |
        ngx.req.read_body()
        ngx.status = 201
        ngx.header['X-Two'] = { 'a', 'b' }
        ngx.print(ngx.req.get_method(), ' ', ngx.var.uri, ' ', ngx.var.args or '-', ' ', ngx.req.get_body_data() or '-', ' ',
          ngx.var.http_x_h or '-', ' ', ngx.is_subrequest, ' ', ngx.ctx.c or '-', ' ', ngx.var.a, ngx.req.is_internal())
        ngx.var.b = 'inner'
";

#[test]
fn a_subrequest_reaches_an_internal_route_and_gives_its_answer() {
    let main = running(
        "local res = ngx.location.capture('/echo/x%20y?p=1', { args = { q = 'a b' }, method = ngx.HTTP_POST, body = 'hello', ctx = { c = 'ctx' }, headers = { ['X-H'] = 'h' } })
ngx.say(res.status, ' ', res.header['X-Two'][2], ' ', res.truncated, ' ', res.body)
ngx.say(ngx.var.b == '' and 'untouched', ' ', ngx.ctx.c, ' ', ngx.is_subrequest)",
        ECHO,
    );
    let answer = http::get(main.addr(), "/main");
    assert_eq!(
        answer.text(),
        "201 b false POST /echo/x y p=1&q=a%20b hello h true ctx true\nuntouched nil false\n"
    );
    assert_eq!(http::get(main.addr(), "/echo/x").status, 404);
}

#[test]
fn variables_are_copied_or_shared_if_they_are_to() {
    let main = running(
        "local function sub(options) return ngx.location.capture('/echo/v', options).body:match('(%S+)$') end
ngx.say(sub(), ' ', sub({ vars = { a = 'own' } }), ' ', sub({ copy_all_vars = true }), ' ', ngx.var.b, '|')
ngx.say(sub({ share_all_vars = true }), ' ', ngx.var.b)",
        ECHO,
    );
    assert_eq!(http::get(main.addr(), "/main").text(), "true owntrue outertrue |\noutertrue inner\n");
}

#[test]
fn the_body_is_handed_on_where_the_method_has_one() {
    let main = running(
        "ngx.req.read_body()
local function body(options) return ngx.location.capture('/echo/b', options).body:match('^%S+ %S+ %S+ (%S+)') end
ngx.say(body(), body({ method = ngx.HTTP_PUT }), body({ always_forward_body = true }), body({ body = '' }))",
        ECHO,
    );
    assert_eq!(http::request(main.addr(), "POST", "/main", &[], b"data").text(), "-datadata-\n");
}

#[test]
fn many_run_at_once_and_answer_in_order() {
    let main = running(
        "local list = {}
for i = 1, 60 do list[i] = { '/slow?' .. i } end
local all = { ngx.location.capture_multi(list) }
local text = {}
for i, res in ipairs(all) do text[i] = res.body end
ngx.print(table.concat(text, ','))",
        "  - match: { path: /slow }\n    lua: { content: \"ngx.sleep(0.05) ngx.print(ngx.var.args)\" }\n",
    );
    let expected: Vec<_> = (1..=60).map(|number| number.to_string()).collect();
    assert_eq!(http::get(main.addr(), "/main").text(), expected.join(","));
}

#[test]
fn whatever_answers_can_be_captured() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("f.txt"), "file").unwrap();
    let upstream = Upstream::start(|request| {
        Answer::status(207, &[("X-Method", request.method.as_str())], request.target.clone())
    });
    let main = Running::start(&format!(
        "limits: {{ luaBodyBytes: 1KiB }}
upstreams: {{ up: {{ endpoints: [\"{}\"] }} }}
routes:
  - match: {{ path: /main }}
    lua:
      content: |
        for _, path in ipairs({{ '/up/x?y', '/f.txt', '/none.txt', '/fixed', '/broken', '/long', '/nested', '/deep', '/exec' }}) do
          local res = ngx.location.capture(path)
          ngx.say(path, ' ', res.status, ' ', #res.body < 30 and res.body or #res.body, ' ', tostring(res.truncated), ' ', res.header['X-Method'])
        end
  - {{ match: {{ path: /up/* }}, upstream: up }}
  - {{ match: {{ path: /fixed }}, return: {{ status: 203, body: b }}, lua: {{ bodyFilter: \"ngx.arg[1] = ngx.arg[1]:upper()\" }} }}
  - {{ match: {{ path: /broken }}, lua: {{ content: \"error('broken')\" }} }}
  - {{ match: {{ path: /long }}, lua: {{ content: \"for i = 1, 3 do ngx.print(('x'):rep(1000)) ngx.flush(true) end\" }} }}
  - {{ match: {{ path: /nested }}, lua: {{ content: \"ngx.print(ngx.location.capture('/fixed').body, '!')\" }} }}
  - {{ match: {{ path: /deep }}, lua: {{ content: \"ngx.print(ngx.location.capture('/deep').status)\" }} }}
  - {{ match: {{ path: /exec }}, lua: {{ content: \"ngx.exec('/fixed')\" }} }}
  - {{ match: {{ path: /* }}, static: {{ root: {:?} }} }}",
        upstream.addr(),
        folder.path().display().to_string()
    ));
    let mut client = Client::connect(main.addr()).unwrap();
    let expected = "/up/x?y 207 /up/x?y false GET\n/f.txt 200 file false nil\n/none.txt 404  false nil\n/fixed 203 B false nil\n\
        /broken 500  false nil\n/long 200 1024 true nil\n/nested 200 B! false nil\n/deep 200 200 false nil\n/exec 203 B false nil\n";
    for _ in 0..2 {
        assert_eq!(client.get("/main").unwrap().text(), expected);
    }
}

#[test]
fn light_threads_and_filters_may_capture() {
    let main = Running::start(
        "routes:
  - match: { path: /main }
    lua:
      content: |
        local t = ngx.thread.spawn(function() return ngx.location.capture('/b').body end)
        local here = ngx.location.capture('/b').body
        ngx.print(select(2, ngx.thread.wait(t)), here)
      headerFilter: ngx.header['X-B'] = ngx.location.capture('/b').body
  - { match: { path: /b }, return: { body: b } }",
    );
    let answer = http::get(main.addr(), "/main");
    assert_eq!((answer.text(), answer.header("X-B")), ("bb", Some("b")));
}

#[test]
fn only_variables_that_can_be_set_are_given_to_a_subrequest() {
    let main = running(
        "for _, vars in ipairs({ { none = 1 }, { query_string = 1 }, { args = 'x=1' } }) do
  local ok, res = pcall(ngx.location.capture, '/args', { vars = vars })
  ngx.say(ok and res.body or res)
end",
        "  - { match: { path: /args }, return: { body: 'args $args' } }\n",
    );
    assert_eq!(
        http::get(main.addr(), "/main").text(),
        "variable \"none\" cannot be assigned a value (maybe you forgot to define it first?)\n\
         variable \"query_string\" not changeable\nargs x=1\n"
    );
}
