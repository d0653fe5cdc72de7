local globals = getfenv(0)
local ngx, stdout, exit = ngx, io.stdout, os.exit
local arguments = { $ARGUMENTS }
rawset(globals, "arg", { [0] = $SCRIPT, unpack(arguments) })
ngx.IS_CLI, ngx.config.is_console = true, true
local function put(text)
    if not stdout:write(text) then
        -- Nobody reads any more: as who is ended by SIGPIPE.
        exit(141)
    end
end
-- Compiled, it would try again what failed, and find room in the buffer.
jit.off(put)
local function write(last, ...)
    for index = 1, select("#", ...) do
        local value = select(index, ...)
        if type(value) == "table" then
            write("", unpack(value, 1, table.maxn(value)))
        else
            put(value == ngx.null and "null" or tostring(value))
        end
    end
    put(last)
    return 1
end
function ngx.print(...) return write("", ...) end
function ngx.say(...) return write("\n", ...) end
rawset(globals, "print", ngx.say)
function ngx.flush() stdout:flush() return 1 end
function ngx.eof() return 1 end
function ngx.exit(code) exit(code, true) end
local chunk, wrong = loadstring($TEXT, $NAME)
if not chunk then error(wrong, 0) end
return chunk(unpack(arguments))
