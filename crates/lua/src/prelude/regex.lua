-- ngx.re, and the module of the same name.
--
-- An expression is compiled once and kept: as long as it is used, and there are not too many others. Those that scripts
-- used which are gone are let go some reloads later. It is a table with the host's part of it, and what that part is
-- asked for most.

local kit = ...
local ngx, C, block = kit.ngx, kit.C, kit.block

local host, given = kit.host, kit.given
local regex_compile, regex_free, regex_match, regex_next = C.regex_compile, C.regex_free, C.regex_match, C.regex_next
local regex_substitute, regex_set_stack, regex_version = C.regex_substitute, C.regex_set_stack, C.regex_version
local ffi = require "ffi"
local bit = require "bit"
local buffer = require "string.buffer"
local new_table = require "table.new"
local bor, ffi_gc, ffi_string = bit.bor, ffi.gc, ffi.string
local sub = string.sub
local error, next, pairs, setmetatable, tostring, type = error, next, pairs, setmetatable, tostring, type

local NO_MATCH, BAD_TEMPLATE = -1, -1000
-- Added to the number of captures when these are a finalizer's.
local FINALIZING = 2 ^ 20
-- Modes of the host.
local DFA, JIT, JIT_ONLY, UNCHECKED = 1, 2, 4, 8
-- What each letter of the options stands for: PCRE2's bits, the host's, and our own.
local UTF = 0x80000
local bits = { a = 0x80000000, i = 0x8, m = 0x400, s = 0x20, u = UTF, U = UTF, x = 0x80, D = 0x40, J = 0x203 }
local modes = { d = DFA, o = JIT, j = JIT_ONLY, U = UNCHECKED }

-- Expressions that are kept; half of them are those used last.
local max_kept = kit.regex_cache
-- Texts of options that are kept with their meaning.
local MAX_OPTIONS = 256

-- Options by their text: { bits, mode, duplicates, young, old }, the last two expressions by their text.
local options, option_count = {}, 0
local young_count = 0
-- How often scripts had been replaced when that was last looked at.
local turnovers = 0
local compiled_any = false

local function parse(text)
    local set, mode, duplicates = 0, 0, false
    for index = 1, #text do
        local letter = sub(text, index, index)
        if not bits[letter] and not modes[letter] then
            return nil, 'unknown flag "' .. letter .. '" (flags "' .. text .. '")'
        end
        set = bor(set, bits[letter] or 0)
        mode = bor(mode, modes[letter] or 0)
        duplicates = duplicates or letter == "D"
    end
    if option_count >= MAX_OPTIONS then
        options, option_count, young_count = {}, 0, 0
    end
    local parsed = { bits = set % 0x100000000, mode = mode, duplicates = duplicates, young = {}, old = {} }
    options[text] = parsed
    option_count = option_count + 1
    return parsed
end

-- The names of groups, as { number, name } by number, or nil if there are none.
local function names_of(handle)
    local count, size, entries = handle.name_count, handle.name_size, handle.names
    if count == 0 then
        return nil
    end
    local names = {}
    for index = 0, count - 1 do
        local entry = entries + index * size
        names[index + 1] = { entry[0] * 256 + entry[1], ffi_string(entry + 2) }
    end
    return names
end

local function compile(pattern, set)
    local handle = regex_compile(host, pattern, #pattern, set.bits, set.mode)
    if handle == nil then
        return nil, given()
    end
    handle = ffi_gc(handle, regex_free)
    compiled_any = true
    return {
        handle = handle,
        captures = handle.captures,
        groups = handle.groups,
        names = names_of(handle),
        duplicates = set.duplicates,
    }
end

-- Puts an expression among those used last. When these are half of what may be kept, or most scripts have been
-- replaced, all others are let go.
local function keep(pattern, set, regex)
    if young_count >= max_kept / 2 or block.turnovers ~= turnovers then
        for _, other in pairs(options) do
            other.old, other.young = other.young, {}
        end
        young_count, turnovers = 0, block.turnovers
    end
    set.young[pattern] = regex
    young_count = young_count + 1
end

-- Whether no expression is kept.
function kit.regex_cache_is_empty()
    for _, set in pairs(options) do
        if next(set.young) or next(set.old) then
            return false
        end
    end
    return true
end

local function find_or_compile(pattern, text)
    if type(pattern) ~= "string" then
        if type(pattern) ~= "number" then
            return false, "bad regex argument: string expected, got " .. type(pattern)
        end
        pattern = tostring(pattern)
    end
    local set, wrong = options[text]
    if not set then
        set, wrong = parse(tostring(text))
        if not set then
            return false, wrong
        end
    end
    local regex = set.young[pattern] or set.old[pattern]
    if not regex then
        regex, wrong = compile(pattern, set)
        if not regex then
            return nil, wrong
        end
    end
    keep(pattern, set, regex)
    return regex
end

-- The expression; or nil and what is wrong with it, or false and what to raise.
local function regex_of(pattern, text)
    local set = options[text or ""]
    local regex = set and set.young[pattern]
    if regex then
        return regex
    end
    return find_or_compile(pattern, text or "")
end

local function add_names(result, regex)
    local names = regex.names
    for index = 1, #names do
        local number, name = names[index][1], names[index][2]
        local capture = result[number]
        if not regex.duplicates then
            result[name] = capture
        elseif capture then
            local all = result[name]
            if all then
                all[#all + 1] = capture
            else
                result[name] = { capture }
            end
        end
    end
end

-- Where the host put what it matched, and how many groups of that count.
local function found(regex, code)
    local captures = regex.captures
    if code > FINALIZING then
        return captures + regex.groups * 2 + 2, code - FINALIZING
    end
    return captures, code
end

-- What was matched, by number and name, in `result` if there is one.
local function collect(regex, captures, count, subject, result)
    local groups, names = regex.groups, regex.names
    result = result or new_table(groups, names and #names or 0)
    for group = 0, groups do
        local from = group < count and captures[group + group] or -1
        if from >= 0 then
            result[group] = sub(subject, from + 1, captures[group + group + 1])
        else
            result[group] = false
        end
    end
    if names then
        add_names(result, regex)
    end
    return result
end

local function failure(code)
    return "pcre_exec() failed: " .. code
end

local function start_of(ctx)
    local position = ctx and ctx.pos
    return position and position > 0 and position - 1 or 0
end

local re = {}
ngx.re = re

function re.match(subject, pattern, flags, ctx, result)
    subject = tostring(subject)
    local regex, wrong = regex_of(pattern, flags)
    if not regex then
        if regex == false then
            error(wrong, 2)
        end
        return nil, wrong
    end
    local code = regex_match(host, regex.handle, subject, #subject, start_of(ctx))
    if code < 0 then
        if code == NO_MATCH then
            return nil
        end
        return nil, failure(code)
    end
    local captures, count = found(regex, code)
    if ctx then
        ctx.pos = captures[1] + 1
    end
    return collect(regex, captures, count, subject, result)
end

function re.find(subject, pattern, flags, ctx, group)
    subject = tostring(subject)
    local regex, wrong = regex_of(pattern, flags)
    if not regex then
        if regex == false then
            error(wrong, 2)
        end
        return nil, nil, wrong
    end
    local code = regex_match(host, regex.handle, subject, #subject, start_of(ctx))
    if code < 0 then
        if code == NO_MATCH then
            return nil
        end
        return nil, nil, failure(code)
    end
    local captures, count = found(regex, code)
    if ctx then
        ctx.pos = captures[1] + 1
    end
    if not group or group < 0 then
        group = 0
    end
    if group > regex.groups then
        return nil, nil, "nth out of bound"
    end
    local from, to = captures[group * 2], captures[group * 2 + 1]
    if group >= count or from < 0 then
        return nil, nil
    end
    return from + 1, to
end

-- Where to look for the match after one that ended at `to`.
local function after(regex, subject, from, to)
    if from ~= to then
        return to
    end
    local position = regex_next(host, regex.handle, subject, #subject, to)
    return position
end

local function iterate(iterator)
    local subject, position = iterator.subject, iterator.position
    if not position then
        return nil
    end
    local regex = iterator.regex
    local code = regex_match(host, regex.handle, subject, #subject, position)
    if code < 0 then
        iterator.position = nil
        if code == NO_MATCH then
            return nil
        end
        return nil, failure(code)
    end
    local captures, count = found(regex, code)
    local from, to = captures[0], captures[1]
    local result = collect(regex, captures, count, subject)
    position = after(regex, subject, from, to)
    iterator.position = position <= #subject and position or nil
    return result
end

local iterators = { __call = iterate }

function re.gmatch(subject, pattern, flags)
    subject = tostring(subject)
    local regex, wrong = regex_of(pattern, flags)
    if not regex then
        if regex == false then
            error(wrong, 2)
        end
        return nil, wrong
    end
    local iterator = setmetatable({ regex = regex, subject = subject, position = 0 }, iterators)
    return iterator
end

-- Replaces by what a function makes of each match. The function may call anything, so that nothing is shared with it.
local function substitute_by(subject, regex, replace, all)
    local count, start, copied = 0, 0, 0
    local out
    repeat
        local code = regex_match(host, regex.handle, subject, #subject, start)
        if code < 0 then
            if code == NO_MATCH then
                break
            end
            return nil, nil, failure(code)
        end
        local captures, groups = found(regex, code)
        local from, to = captures[0], captures[1]
        local piece = tostring(replace(collect(regex, captures, groups, subject)))
        out = out or buffer.new(#subject)
        if from > copied then
            out:put(sub(subject, copied + 1, from))
        end
        out:put(piece)
        count, copied = count + 1, to
        start = after(regex, subject, from, to)
    until not all or start > #subject
    if count == 0 then
        return subject, 0
    end
    out:put(sub(subject, copied + 1))
    return out:tostring(), count
end

-- Called last by its callers, which is why it raises errors at level 2.
local function substitute(subject, pattern, replace, flags, all)
    subject = tostring(subject)
    local regex, wrong = regex_of(pattern, flags)
    if not regex then
        if regex == false then
            error(wrong, 2)
        end
        return nil, nil, wrong
    end
    if type(replace) == "function" then
        return substitute_by(subject, regex, replace, all)
    end
    replace = tostring(replace)
    local count = regex_substitute(host, regex.handle, subject, #subject, replace, #replace, all and 1 or 0)
    if count > 0 then
        return given(), count
    elseif count == 0 then
        return subject, 0
    elseif count == BAD_TEMPLATE then
        return nil, nil, "failed to compile the replacement template"
    end
    return nil, nil, failure(count)
end

function re.sub(subject, pattern, replace, flags)
    return substitute(subject, pattern, replace, flags, false)
end

function re.gsub(subject, pattern, replace, flags)
    return substitute(subject, pattern, replace, flags, true)
end

-- The module `ngx.re`.
local module = { version = "0.1.31" }

-- Splits at every match. What the first group matched is put between the pieces.
local function split(subject, regex, start, max, result)
    local count, pieces, index, position = 1, start, 0, start - 1
    local last_empty
    while max <= 0 or count < max do
        local code = regex_match(host, regex.handle, subject, #subject, position)
        if code < 0 then
            if code == NO_MATCH then
                break
            end
            return nil, failure(code)
        end
        local captures, groups = found(regex, code)
        local from, to = captures[0], captures[1]
        local group_from, group_to = -1, -1
        if groups > 1 then
            group_from, group_to = captures[2], captures[3]
        end
        position = after(regex, subject, from, to)
        if last_empty then
            pieces = last_empty
        end
        if from == to then
            last_empty = from + 1
        end
        if from + 1 > pieces or not last_empty then
            count, index = count + 1, index + 1
            result[index] = sub(subject, pieces, from)
            if group_from >= 0 then
                index = index + 1
                result[index] = sub(subject, group_from + 1, group_to)
            end
            pieces = to + 1
            if pieces > #subject then
                break
            end
        end
        if position > #subject then
            break
        end
    end
    return index, pieces
end

function module.split(subject, pattern, flags, ctx, max, result)
    subject = tostring(subject)
    max = max or 0
    local start = ctx and ctx.pos or 1
    if not result then
        result = new_table(4, 0)
    elseif type(result) ~= "table" then
        error("res is not a table", 2)
    end
    if start > #subject then
        result[1] = nil
        return result
    end
    local regex, wrong = regex_of(pattern, flags)
    if not regex then
        if regex == false then
            error(wrong, 2)
        end
        return nil, wrong
    end
    local count, rest = split(subject, regex, start > 0 and start or 1, max, result)
    if not count then
        return nil, rest
    end
    if max <= 0 and rest > #subject then
        -- Empty pieces at the end do not count.
        while count > 0 and result[count] == "" do
            result[count] = nil
            count = count - 1
        end
    else
        count = count + 1
        result[count] = sub(subject, rest)
    end
    result[count + 1] = nil
    return result
end

function module.opt(option, value)
    if option ~= "jit_stack_size" then
        error("unrecognized option name", 2)
    end
    if compiled_any then
        error("changing jit stack size is not allowed when some regexs have already been compiled and cached", 2)
    end
    local code = regex_set_stack(host, value)
    if code ~= 0 then
        error("pcre jit stack allocation failed", 2)
    end
end

package.preload["ngx.re"] = function()
    return module
end

regex_version(host)
kit.pcre_version = given()
