-- Read what was said where a session was, and say on a channel up to where: whoever hears that has
-- heard all that was published before.
-- KEYS: counter, then the streams. ARGV: the channel, what to say there before the offset, the most
-- bytes, and for each stream: after which offset, up to which ('+' for all).
-- Returns the offset, 1 where all fits and 0 where the most bytes are not enough, and for each
-- stream: up to which offset nothing is kept any more, where its room was closed last, and the
-- messages until it was closed, if it was: who was in it then is out.
local counter = redis.call('GET', KEYS[1]) or '0'
local left = tonumber(ARGV[3])
local found = {}
for i = 2, #KEYS do
    local name = string.gsub(KEYS[i], '}:', '}:meta:', 1)
    local meta = redis.call('HMGET', name, 'trimmed', 'closed')
    local some = {meta[1] or '0', meta[2] or '0'}
    local after = '(' .. ARGV[2 * i] .. '-0'
    local entries = {}
    if left >= 0 then
        entries = redis.call('XRANGE', KEYS[i], after, ARGV[2 * i + 1])
    end
    for _, entry in ipairs(entries) do
        if entry[2][3] then
            break
        end
        left = left - #entry[2][2]
        some[#some + 1] = entry[2][2]
    end
    found[i - 1] = some
end
redis.call('PUBLISH', ARGV[1], ARGV[2] .. counter)
return {counter, left < 0 and 0 or 1, found}
