-- Read what was said in some rooms after an offset of each, and what is known of it no more.
--
-- KEYS: epoch, counter, then the streams.
-- ARGV: 1 bytes after which no further stream is read, 2 a channel and 3 what is published on it
-- when this is done: who hears it has heard all that was published before. Then for each stream the
-- offset.
-- Returns {the epoch, the counter, then for each stream {last, trimmed, closed, messages...}}: all with
-- greater offsets, but those up to "trimmed" are no longer kept; "closed": where its room was closed
-- last. Of fewer streams, if that is much.
local found = {redis.call('GET', KEYS[1]) or '', redis.call('GET', KEYS[2]) or '0'}
local left = tonumber(ARGV[1])
for i = 3, #KEYS do
  local stream = KEYS[i]
  local name = string.gsub(stream, '}:', '}:meta:', 1) -- see Keys.meta
  local meta = redis.call('HMGET', name, 'last', 'trimmed', 'closed')
  local some = {meta[1] or '0', meta[2] or '0', meta[3] or '0'}
  if meta[1] then
    for _, entry in ipairs(redis.call('XRANGE', stream, '(' .. ARGV[i + 1] .. '-0', '+')) do
      some[#some + 1] = entry[2][2]
      left = left - #entry[2][2]
    end
  end
  found[i] = some
  if left < 0 then
    break
  end
end
redis.call('PUBLISH', ARGV[2], ARGV[3])
return found
