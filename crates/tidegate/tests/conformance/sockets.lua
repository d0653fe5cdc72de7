-- Sockets of scripts: streams, datagrams, TLS.

--# ngx.socket.tcp tcp:connect tcp:send tcp:receive tcp:close
local socket = ngx.socket.tcp()
ngx.say(socket:connect("127.0.0.1", ngx.var.server_port))
ngx.say(socket:send({ "GET /peer/a HTTP/1.0\r\n", { "Host: a\r\n" }, "\r\n" }))
ngx.say(socket:receive())
repeat local line = socket:receive("*l") until line == ""
ngx.say(socket:receive(3), "|", socket:receive("*a"), "|", socket:receive(1))
ngx.say(socket:close(), socket:close())
--> 1
--> 33
--> HTTP/1.1 200 OK
--> GET| /peer/a  |nilclosed
--> 1nilclosed
--! ngx.socket.tcp
ngx.socket.tcp(1)
--> case:1: expecting zero arguments, but got 1
--! tcp:connect
local socket = ngx.socket.tcp()
ngx.say(socket:connect("127.0.0.1", {deadPort})) ngx.say(socket:connect("127.0.0.1", 70000)) ngx.say(socket:connect("127.0.0.1"))
ngx.say(socket:connect("unix:{dir}/none.sock"))
ngx.say(pcall(socket.connect, socket, "127.0.0.1", 80, { pool_size = 0 }))
socket:connect()
--> nilconnection refused
--> nilbad port number: 70000
--> nilmissing the port number
--> nilno such file or directory
--> falsebad argument #4 to '?' (bad "pool_size" option value: 0)
--> case:5: bad argument #1 to 'connect' (string expected, got nil)
--! tcp:send tcp:receive tcp:close
local socket = ngx.socket.tcp()
ngx.say(socket:send("a")) ngx.say(socket:receive()) ngx.say(socket:close())
socket:connect("127.0.0.1", {upstreamPort})
ngx.say(pcall(socket.send, socket, print)) ngx.say(pcall(socket.send, socket)) ngx.say(pcall(socket.receive, socket, "*x")) ngx.say(pcall(socket.receive, socket, -1))
socket:settimeout(5)
ngx.say(socket:receive())
ngx.say(pcall(socket.close, socket, 1))
--> nilclosed
--> nilclosed
--> nilclosed
--> falsebad argument #2 to '?' (string, number, boolean, nil, or array table expected, got function)
--> falseexpecting 2 arguments (including the object), but got 1
--> falsebad argument #2 to '?' (bad pattern argument)
--> falsebad argument #2 to '?' (bad number argument)
--> niltimeout
--> falseexpecting 1 argument (including the object) but seen 2

--# ngx.socket.stream
ngx.say(type(ngx.socket.stream().connect))
--> function
--! ngx.socket.stream
ngx.socket.stream(1)
--> case:1: expecting zero arguments, but got 1

--# ngx.socket.connect
local socket = ngx.socket.connect("127.0.0.1", {upstreamPort})
ngx.say(socket:send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), " ", socket:receive())
--> 27 HTTP/1.1 200 Scripted
--! ngx.socket.connect
ngx.say(ngx.socket.connect("127.0.0.1", {deadPort}))
--> nilconnection refused

--# tcp:receiveany tcp:receiveuntil
local socket = ngx.socket.tcp()
socket:connect("127.0.0.1", ngx.var.server_port)
socket:send("GET /raw HTTP/1.1\r\nHost: a\r\n\r\n")
local head = socket:receiveuntil("\r\n\r\n", { inclusive = true })
ngx.say(#head() == #"HTTP/1.1 200 OK\r\n\r\n")
socket:send("one--two--three\n")
local part = socket:receiveuntil("--")
ngx.say(part(2), " ", part(10), " ", tostring(part(10)), " ", part())
ngx.say(socket:receiveany(100))
--> true
--> ON E nil TWO
--> THREE
--! tcp:receiveany
local socket = ngx.socket.tcp()
ngx.say(socket:receiveany(1))
socket:connect("127.0.0.1", {upstreamPort})
ngx.say(pcall(socket.receiveany, socket, 0))
socket:receiveany()
--> nilclosed
--> falsebad argument #2 to '?' (bad max argument)
--> case:5: expecting 2 arguments (including the object), but got 1
--! tcp:receiveuntil
local socket = ngx.socket.tcp()
ngx.say(socket:receiveuntil("")) ngx.say(socket:receiveuntil("a")()) ngx.say(pcall(socket.receiveuntil, socket, "a", { inclusive = 1 }))
socket:receiveuntil()
--> nilpattern is empty
--> nilclosed
--> falsebad "inclusive" option value type: number
--> case:3: expecting 2 or 3 arguments (including the object), but got 1

--# tcp:settimeout tcp:settimeouts
local socket = ngx.socket.tcp()
socket:settimeouts(1000, 1000, 5)
socket:connect("127.0.0.1", {upstreamPort})
ngx.say(select(2, socket:receive()))
socket:settimeout(6)
ngx.say(select(2, socket:receive()))
--> timeout
--> timeout
--! tcp:settimeout tcp:settimeouts
local socket = ngx.socket.tcp()
ngx.say(pcall(socket.settimeout, socket)) ngx.say(pcall(socket.settimeout, socket, -1)) ngx.say(pcall(socket.settimeouts, socket, 1, 2)) ngx.say(pcall(socket.settimeouts, socket, 1, 2, -1))
--> falsengx.socket settimeout: expecting 2 arguments (including the object) but seen 1
--> falsebad timeout value
--> falsengx.socket settimeouts: expecting 4 arguments (including the object) but seen 3
--> falsebad timeout value

--# tcp:setoption tcp:getoption
local socket = ngx.socket.tcp()
socket:connect("127.0.0.1", {upstreamPort})
ngx.say(socket:setoption("keepalive", true), socket:getoption("keepalive"), socket:setoption("tcp-nodelay", 1), socket:getoption("tcp-nodelay"))
--> true1true1
--! tcp:setoption tcp:getoption
local socket = ngx.socket.tcp()
ngx.say(pcall(socket.getoption, socket, "keepalive"))
socket:connect("127.0.0.1", {upstreamPort})
ngx.say(socket:setoption("none", 1)) ngx.say(socket:setoption()) ngx.say(socket:setoption("keepalive")) ngx.say(socket:getoption("none")) ngx.say(socket:getoption())
ngx.say(pcall(socket.setoption, socket, "keepalive", "x"))
--> falsesocket is never created nor connected
--> nilunsupported option none
--> nilmissing the "option" argument
--> nilmissing the "value" argument
--> nilunsupported option none
--> nilmissing the "option" argument
--> falsebad value of option keepalive

--# tcp:setkeepalive tcp:getreusedtimes
local function ask()
    local socket = ngx.socket.tcp()
    socket:connect("127.0.0.1", {upstreamPort}, { pool = "conformance" })
    socket:send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    local length
    repeat
        local line = socket:receive()
        length = line:match("^[Cc]ontent%-[Ll]ength: (%d+)") or length
    until line == ""
    socket:receive(tonumber(length))
    return socket:getreusedtimes(), socket:setkeepalive(10000, 10)
end
ngx.say(ask())
ngx.say(ask())
--> 01
--> 11
--! tcp:setkeepalive
local socket = ngx.socket.tcp()
ngx.say(socket:setkeepalive())
socket:connect("127.0.0.1", {upstreamPort})
ngx.say(pcall(socket.setkeepalive, socket, "x")) ngx.say(pcall(socket.setkeepalive, socket, 1, 0)) ngx.say(pcall(socket.setkeepalive, socket, 1, 2, 3))
--> nilclosed
--> falsebad argument #2 to '?' (number expected, got string)
--> falsebad argument #3 to '?' (bad "pool_size" option value: 0)
--> falseexpecting 1 to 3 arguments (including the object), but got 4
--! tcp:getreusedtimes
local socket = ngx.socket.tcp()
ngx.say(socket:getreusedtimes())
socket:getreusedtimes(1)
--> nilclosed
--> case:3: expecting 1 argument (including the object), but got 2

--# tcp:bind
local socket = ngx.socket.tcp()
ngx.say(socket:bind("127.0.0.2"), socket:connect("127.0.0.1", ngx.var.server_port))
socket:send("GET /peer HTTP/1.1\r\nHost: a\r\n\r\n")
ngx.say(socket:receive())
--> true1
--> HTTP/1.1 200 OK
--! tcp:bind
local socket = ngx.socket.tcp()
ngx.say(socket:bind("nowhere")) ngx.say(socket:bind("127.0.0.1", "x")) ngx.say(socket:bind("127.0.0.1", 70000))
socket:bind()
--> nilbad address
--> nilexpecting port to be anumber but got type: string
--> nilbad port number: 70000
--> case:3: expecting 2 or 3 arguments, but got 1

--# tcp:shutdown
local socket = ngx.socket.tcp()
socket:connect("127.0.0.1", ngx.var.server_port)
socket:send("GET /raw HTTP/1.1\r\nHost: a\r\n\r\n")
socket:receiveuntil("\r\n\r\n")()
socket:send("last\n")
ngx.say(socket:shutdown("send"), " ", socket:receive(), " ", socket:receive())
--> 1 LAST nilclosed
--! tcp:shutdown
local socket = ngx.socket.tcp()
ngx.say(socket:shutdown("send"))
socket:shutdown("up")
--> nilclosed
--> case:3: bad shutdown argument: "up"

--# tcp:getfd
local socket = ngx.socket.tcp()
socket:connect("127.0.0.1", {upstreamPort})
ngx.say(socket:getfd() > 2)
--> true
--! tcp:getfd
local socket = ngx.socket.tcp()
ngx.say(pcall(socket.getfd, socket))
socket:connect("127.0.0.1", {upstreamPort})
socket:close()
ngx.say(socket:getfd())
--> falsesocket is never created nor connected
--> nilclosed

--# ngx.socket.udp udp:setpeername udp:send udp:receive udp:close udp:settimeout udp:bind
local socket = ngx.socket.udp()
ngx.say(socket:bind("127.0.0.1"), socket:setpeername("127.0.0.1", {udpPort}))
ngx.say(socket:send({ "one", 2 }), " ", socket:receive())
socket:send("a longer one")
ngx.say(socket:receive(3))
socket:settimeout(5)
ngx.say(socket:receive())
ngx.say(socket:close(), socket:close())
--> 11
--> 1 one2
--> a l
--> niltimeout
--> 1nilclosed
--! ngx.socket.udp
ngx.socket.udp(1)
--> case:1: expecting zero arguments, but got 1
--! udp:setpeername udp:send udp:receive udp:close
local socket = ngx.socket.udp()
ngx.say(socket:send("a")) ngx.say(socket:receive()) ngx.say(socket:close()) ngx.say(socket:setpeername("127.0.0.1", 70000)) ngx.say(socket:setpeername("127.0.0.1"))
socket:setpeername("127.0.0.1", {udpPort})
ngx.say(pcall(socket.send, socket, print)) ngx.say(pcall(socket.receive, socket, "x")) ngx.say(pcall(socket.close, socket, 1))
socket:setpeername()
--> nilclosed
--> nilclosed
--> nilclosed
--> nilbad port number: 70000
--> nilmissing the port number
--> falsebad argument #2 to '?' (string, number, boolean, nil, or array table expected, got function)
--> falsebad argument #2 to '?' (number expected, got string)
--> falseexpecting 1 argument (including the object) but seen 2
--> case:5: ngx.socket.udp setpeername: expecting 2 or 3 arguments (including the object), but seen 1
--! udp:bind udp:settimeout
local socket = ngx.socket.udp()
ngx.say(socket:bind("nowhere")) ngx.say(pcall(socket.bind, socket)) ngx.say(pcall(socket.settimeout, socket))
--> nilbad address
--> falseexpecting 2 arguments, but got 1
--> falsengx.socket settimout: expecting 2 arguments (including the object) but seen 1

--# tcp:sslhandshake tcp:getsslsession tcp:settrustedstore
--@ tls
local file = io.open("{authority}")
local store = require("resty.openssl.x509.store").new()
store:add(require("resty.openssl.x509").new(file:read("*a")))
file:close()
local function connect()
    local socket = ngx.socket.tcp()
    socket:connect("127.0.0.1", {tlsPort})
    socket:settrustedstore(store.ctx)
    return socket
end
local socket = connect()
local session, why = socket:sslhandshake(nil, "localhost", true)
ngx.say(type(session), why)
socket:send("abc\n")
ngx.say(socket:receive(), " ", type(socket:getsslsession()), socket:close())
local again = connect()
ngx.say(type(again:sslhandshake(session, "localhost", true)), again:send("def\n"), again:receive(), again:close())
local last = connect()
ngx.say(last:sslhandshake(false, "localhost", true))
last:close()
--> cdatanil
--> cba cdata1
--> cdata4fed1
--> true
--! tcp:sslhandshake
--@ tls
local socket = ngx.socket.tcp()
ngx.say(pcall(socket.sslhandshake, socket))
socket:connect("127.0.0.1", {tlsPort})
ngx.say(socket:sslhandshake(nil, "localhost", true))
local plain = ngx.socket.tcp()
plain:connect("127.0.0.1", {upstreamPort})
plain:settimeout(1000)
ngx.say((plain:sslhandshake()), socket:close())
socket.sslhandshake()
--> falsesocket is never created nor connected
--> nil20: unable to get local issuer certificate
--> nilnilclosed
--> case:9: ngx.socket sslhandshake: expecting 1 ~ 5 arguments (including the object), but seen 0
--# tcp:tlshandshake tcp:setclientcert
--@ tls
local ssl = require "ngx.ssl"
local function read(path) local file = io.open(path) local text = file:read("*a") file:close() return text end
local socket = ngx.socket.tcp()
socket:connect("127.0.0.1", {tlsPort})
local certificate, key = ssl.parse_pem_cert(read("{certificate}")), ssl.parse_pem_priv_key(read("{key}"))
ngx.say(socket:setclientcert(certificate, key), socket:setclientcert())
ngx.say(type(socket:tlshandshake({ server_name = "localhost", verify = false, client_cert = certificate, client_priv_key = key })))
socket:send("abc\n")
ngx.say(socket:receive(), socket:close())
--> truetrue
--> cdata
--> cba1
--! tcp:tlshandshake tcp:setclientcert tcp:settrustedstore
local socket = ngx.socket.tcp()
ngx.say(socket:setclientcert("a", "b")) ngx.say(socket:setclientcert("a")) ngx.say(socket:settrustedstore("a"))
ngx.say(socket:tlshandshake({ client_cert = "a" })) ngx.say(pcall(socket.tlshandshake, socket))
--> nilbad cert arg: cdata expected, got string
--> nilclient certificate must be supplied with corresponding private key
--> nilbad store arg: cdata expected, got string
--> nilclient certificate must be supplied with corresponding private key
--> falsesocket is never created nor connected
--! tcp:getsslsession
local socket = ngx.socket.tcp()
ngx.say(pcall(socket.getsslsession, socket))
socket:connect("127.0.0.1", {upstreamPort})
ngx.say(socket:getsslsession())
--> falsesocket is never created nor connected
--> nilnot connected by SSL

--# ngx.ssl.parse_pem_cert ngx.ssl.parse_der_cert ngx.ssl.parse_pem_priv_key ngx.ssl.parse_der_priv_key
--& ngx.ssl.cert_pem_to_der ngx.ssl.priv_key_pem_to_der
--@ tls
local ssl = require "ngx.ssl"
local function read(path) local file = io.open(path) local text = file:read("*a") file:close() return text end
local certificate, key = read("{certificate}"), read("{key}")
local der, key_der = ssl.cert_pem_to_der(certificate), ssl.priv_key_pem_to_der(key)
ngx.say(der:byte(1), " ", key_der:byte(1))
ngx.say(type(ssl.parse_pem_cert(certificate)), type(ssl.parse_der_cert(der)), type(ssl.parse_pem_priv_key(key)), type(ssl.parse_der_priv_key(key_der)))
--> 48 48
--> cdatacdatacdatacdata
--! ngx.ssl.parse_pem_cert ngx.ssl.parse_der_cert ngx.ssl.parse_pem_priv_key ngx.ssl.parse_der_priv_key
--& ngx.ssl.cert_pem_to_der ngx.ssl.priv_key_pem_to_der
local ssl = require "ngx.ssl"
for _, name in ipairs { "parse_pem_cert", "parse_der_cert", "parse_pem_priv_key", "parse_der_priv_key", "cert_pem_to_der", "priv_key_pem_to_der" } do
    ngx.say(ssl[name]("nothing of the kind"))
end
--> nilPEM_read_bio_X509_AUX() failed
--> nild2i_X509() failed
--> nilPEM_read_bio_PrivateKey() failed
--> nild2i_PrivateKey() failed
--> nilPEM_read_bio_X509_AUX() failed
--> nilPEM_read_bio_PrivateKey() failed
