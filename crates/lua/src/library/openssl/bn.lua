-- resty.openssl.bn: whole numbers of any size.

local ffi = require "ffi"
local openssl = require "tidegate.openssl"
local error, getmetatable, setmetatable, tonumber, tostring, type =
    error, getmetatable, setmetatable, tonumber, tostring, type

local methods = {}
local metatable = { __index = methods }

-- What a number of C's becomes; it is freed with it.
local function wrap(pointer)
    return setmetatable({ ctx = openssl.own("BIGNUM *", pointer, "BN_free") }, metatable)
end

local function new_context()
    return ffi.gc(openssl.BN_CTX_new(), openssl.BN_CTX_free)
end

function methods.istype(value)
    return type(value) == "table" and getmetatable(value) == metatable
end

function methods.dup(pointer)
    local copy = openssl.BN_dup(pointer)
    if copy == nil then
        return nil, openssl.failure "bn.dup"
    end
    return wrap(copy)
end

-- From a number, or a string: of bytes, or of digits if there is a `base` of 10 or 16.
function methods.new(value, base)
    if value == nil then
        return wrap(openssl.BN_new())
    end
    if type(value) == "number" then
        value, base = string.format("%.0f", value), 10
    elseif type(value) == "cdata" then
        return methods.dup(value)
    elseif type(value) ~= "string" then
        return nil, "bn.new: expect nil, a number or a string at #1"
    end
    if not base or base == 2 then
        return wrap(openssl.BN_bin2bn(value, #value, nil))
    end
    local number = ffi.new "void *[1]"
    local read = base == 16 and openssl.BN_hex2bn or base == 10 and openssl.BN_dec2bn
    if not read then
        return nil, "bn.new: unsupported base: " .. tostring(base)
    end
    if read(number, value) == 0 then
        return nil, openssl.failure "bn.new"
    end
    return wrap(number[0])
end

function methods.from_binary(bytes)
    return methods.new(bytes)
end

function methods.from_hex(digits)
    return methods.new(digits, 16)
end

function methods.from_dec(digits)
    return methods.new(digits, 10)
end

function methods.to_binary(number, size)
    return openssl.number_bytes(number.ctx, size)
end

local function digits(name)
    return function(number)
        local text = openssl[name](number.ctx)
        local copy = openssl.text(text)
        openssl.OPENSSL_free(text)
        return copy
    end
end
methods.to_dec = digits "BN_bn2dec"
local to_hex = digits "BN_bn2hex"

function methods.to_hex(number)
    return string.upper(to_hex(number))
end

function methods.to_number(number)
    return tonumber(number:to_dec())
end
methods.tonumber = methods.to_number
metatable.__tostring = methods.to_dec

-- An operand as a number of C's, and what keeps it alive.
local function operand(value)
    if not methods.istype(value) then
        value = methods.new(value) or error("cannot do arithmetic on a " .. type(value) .. " value", 3)
    end
    return value.ctx, value
end

-- A function of `count` operands that OpenSSL's one of that name computes.
local function operation(name, count, with_context)
    return function(...)
        local result, kept, pointers = openssl.BN_new(), {}, {}
        for index = 1, count do
            pointers[index], kept[index] = operand((select(index, ...)))
        end
        if with_context then
            count = #pointers
            pointers[count + 1] = new_context()
        end
        if openssl[name](result, unpack(pointers)) ~= 1 then
            openssl.BN_free(result)
            error(openssl.failure("bn: " .. name), 2)
        end
        return wrap(result)
    end
end

methods.add, methods.sub = operation("BN_add", 2), operation("BN_sub", 2)
methods.mul, methods.exp = operation("BN_mul", 2, true), operation("BN_exp", 2, true)
methods.pow, methods.sqr = methods.exp, operation("BN_sqr", 1, true)
methods.gcd = operation("BN_gcd", 2, true)
methods.mod_add, methods.mod_sub = operation("BN_mod_add", 3, true), operation("BN_mod_sub", 3, true)
methods.mod_mul, methods.mod_exp = operation("BN_mod_mul", 3, true), operation("BN_mod_exp", 3, true)
methods.mod_pow = methods.mod_exp

local function divide(dividend, divisor)
    local quotient, rest = openssl.BN_new(), openssl.BN_new()
    local one, kept_one = operand(dividend)
    local other, kept_other = operand(divisor)
    local code = openssl.BN_div(quotient, rest, one, other, new_context())
    quotient, rest = wrap(quotient), wrap(rest)
    if code ~= 1 then
        error(openssl.failure "bn: BN_div", 3)
    end
    return quotient, rest, kept_one, kept_other
end

function methods.div(dividend, divisor)
    return (divide(dividend, divisor))
end
methods.idiv = methods.div

function methods.mod(dividend, divisor)
    local _, rest = divide(dividend, divisor)
    return rest
end

function methods.lshift(number, bits)
    local result = openssl.BN_new()
    openssl.BN_lshift(result, number.ctx, bits)
    return wrap(result)
end

function methods.rshift(number, bits)
    local result = openssl.BN_new()
    openssl.BN_rshift(result, number.ctx, bits)
    return wrap(result)
end

metatable.__add, metatable.__sub, metatable.__mul = methods.add, methods.sub, methods.mul
metatable.__div, metatable.__mod, metatable.__pow = methods.div, methods.mod, methods.exp

function metatable.__unm(number)
    local negated = methods.dup(number.ctx)
    openssl.BN_set_negative(negated.ctx, 1 - openssl.BN_is_negative(negated.ctx))
    return negated
end

function metatable.__eq(one, other)
    return openssl.BN_cmp(one.ctx, other.ctx) == 0
end

function metatable.__lt(one, other)
    return openssl.BN_cmp(one.ctx, other.ctx) < 0
end

function metatable.__le(one, other)
    return openssl.BN_cmp(one.ctx, other.ctx) <= 0
end

local function question(name)
    return function(number)
        return openssl[name](number.ctx) == 1
    end
end
methods.is_zero, methods.is_one, methods.is_odd = question "BN_is_zero", question "BN_is_one", question "BN_is_odd"

function methods.is_word(number, word)
    return number == methods.new(word)
end

function methods.is_prime(number, checks)
    return openssl.BN_is_prime_ex(number.ctx, checks or 0, new_context(), nil) == 1
end

function methods.generate_prime(bits, safe)
    local prime = openssl.BN_new()
    if openssl.BN_generate_prime_ex(prime, bits, safe and 1 or 0, nil, nil, nil) ~= 1 then
        openssl.BN_free(prime)
        return nil, openssl.failure "bn.generate_prime"
    end
    return wrap(prime)
end

return methods
