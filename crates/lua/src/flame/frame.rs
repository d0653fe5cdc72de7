//! How a frame of a stack is called: as errors and tracebacks call it.

/// What LuaJIT knows of a frame.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Frame<'a> {
    /// What the function was called by, where that is known.
    pub(super) name: Option<&'a str>,
    /// `Lua`, `C` or `main`.
    pub(super) what: &'a str,
    /// As the chunk is named, with its mark.
    pub(super) source: &'a str,
    /// Where the function begins.
    pub(super) line: i32,
    /// Whether nothing called it but the host.
    pub(super) is_outermost: bool,
}

/// Appends `name (file:line)`; nothing in it can be taken for a border of frames.
pub(super) fn write(frame: &Frame<'_>, prefix: &str, to: &mut String) {
    if frame.what == "C" {
        push(frame.name.unwrap_or("function of C"), to);
        to.push_str(" [C]");
        return;
    }
    let is_chunk = frame.what == "main" || frame.is_outermost && frame.line <= 1;
    let name = if is_chunk { "main chunk" } else { frame.name.unwrap_or("function") };
    push(name, to);
    to.push_str(" (");
    push(file(frame.source, prefix), to);
    // Of the host's own functions the lines say nothing to anybody.
    if !is_chunk && !is_own(frame.source) {
        to.push(':');
        to.push_str(&frame.line.to_string());
    }
    to.push(')');
}

/// Appends `file:line`, unless that is the host's own.
pub(super) fn write_line(source: &str, line: i32, prefix: &str, to: &mut String) -> bool {
    if line <= 0 || is_own(source) {
        return false;
    }
    push(file(source, prefix), to);
    to.push(':');
    to.push_str(&line.to_string());
    true
}

fn is_own(source: &str) -> bool {
    source.starts_with("=ngx.")
}

fn file<'a>(source: &'a str, prefix: &str) -> &'a str {
    match source.as_bytes() {
        [b'@', ..] => {
            let path = &source[1..];
            path.strip_prefix(prefix).filter(|rest| !rest.is_empty()).unwrap_or(path)
        }
        [b'=', ..] => &source[1..],
        // A text that was loaded as it is.
        _ => "string",
    }
}

fn push(text: &str, to: &mut String) {
    to.extend(text.chars().map(|c| match c {
        ';' => ':',
        c if c.is_control() => ' ',
        c => c,
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(frame: Frame<'_>, expected: &str) {
        let mut text = String::new();
        write(&frame, "/etc/tidegate/", &mut text);
        assert_eq!(text, expected);
    }

    #[test]
    fn frames_are_called_as_tracebacks_call_them() {
        let lua = Frame { what: "Lua", source: "@/etc/tidegate/apps/a.lua", line: 7, ..Frame::default() };
        check(Frame { name: Some("burn"), ..lua }, "burn (apps/a.lua:7)");
        check(lua, "function (apps/a.lua:7)");
        check(Frame { line: 1, is_outermost: true, ..lua }, "main chunk (apps/a.lua)");
        check(Frame { line: 1, ..lua }, "function (apps/a.lua:1)");
        check(Frame { what: "main", line: 0, source: "@/usr/x.lua", ..lua }, "main chunk (/usr/x.lua)");
        check(Frame { name: Some("connect"), source: "=ngx.socket", ..lua }, "connect (ngx.socket)");
        check(Frame { name: Some("gsub"), what: "C", source: "=[C]", ..lua }, "gsub [C]");
        check(Frame { source: "return 1; return\n2", ..lua }, "function (string:7)");
        check(Frame { source: "@a;b\n.lua", ..lua }, "function (a:b .lua:7)");
    }

    #[test]
    fn lines_of_the_host_are_not_told() {
        let mut text = String::new();
        assert!(!write_line("=ngx.socket", 7, "", &mut text) && !write_line("@a.lua", -1, "", &mut text));
        assert!(write_line("@a.lua", 7, "", &mut text));
        assert_eq!(text, "a.lua:7");
    }
}
