-- Say one message: number it, keep it in the stream of each of its rooms, and publish it.
--
-- KEYS: epoch, counter, the message's id, then the streams of its rooms, then those of sessions
-- that it goes to alone (each with the session's own key behind it).
-- ARGV: 1 the epoch that its sender knows, 2 seconds that an id is kept, 3 events and 4 bytes that
-- a stream keeps, 5 seconds that a silent stream is kept, 6 between two offsets, 7 how many rooms,
-- 8 and 9: what comes before and behind a node's id in the name of its channel for such messages,
-- 10 the sender's node, 11 the message, 12 whether it closes its rooms: nothing, or 'c'.
-- Returns {"epoch", the epoch} where the sender's is another one, else {offset, 1 or 0: was new}.
local epoch = redis.call('GET', KEYS[1])
if epoch ~= ARGV[1] then
  return {'epoch', epoch or ''}
end
local before = redis.call('GET', KEYS[3])
if before then
  return {before, 0}
end
-- As text: a number would lose its last digits (%.14g).
local offset = string.format('%.0f', redis.call('INCRBY', KEYS[2], ARGV[6]))
redis.call('SET', KEYS[3], offset, 'EX', ARGV[2])

local rooms, streams, metas, previous = tonumber(ARGV[7]), {}, {}, {}
for i = 4, 3 + rooms do
  streams[#streams + 1] = KEYS[i]
end
for i = 4 + rooms, #KEYS, 2 do
  streams[#streams + 1] = KEYS[i]
end
for i, stream in ipairs(streams) do
  metas[i] = string.gsub(stream, '}:', '}:meta:', 1) -- see Keys.meta
  previous[i] = redis.call('HGET', metas[i], 'last') or '0'
end
local now = redis.call('TIME')
local message = offset .. ' ' .. epoch .. ' ' .. now[1] .. string.format('%06d', now[2]) .. ' '
  .. table.concat(previous, ',') .. '\n' .. ARGV[11]

local most, most_bytes = tonumber(ARGV[3]), tonumber(ARGV[4])
for i, stream in ipairs(streams) do
  local meta = metas[i]
  if ARGV[12] then
    redis.call('XADD', stream, offset .. '-0', 'm', message, 'c', '')
    redis.call('HSET', meta, 'closed', offset)
  else
    redis.call('XADD', stream, offset .. '-0', 'm', message)
  end
  local bytes = redis.call('HINCRBY', meta, 'bytes', #message)
  local count = redis.call('XLEN', stream)
  local trimmed = nil
  while count > 1 and (count > most or bytes > most_bytes) do
    local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
    redis.call('XDEL', stream, oldest[1])
    trimmed, count = oldest[1], count - 1
    bytes = redis.call('HINCRBY', meta, 'bytes', -#oldest[2][2])
  end
  if trimmed then
    redis.call('HSET', meta, 'last', offset, 'trimmed', (string.gsub(trimmed, '%-0$', '')))
  else
    redis.call('HSET', meta, 'last', offset)
  end
  redis.call('EXPIRE', stream, ARGV[5])
  redis.call('EXPIRE', meta, ARGV[5])
end

for i = 4, 3 + rooms do
  redis.call('PUBLISH', KEYS[i], message)
end
local told = {}
for i = 5 + rooms, #KEYS, 2 do
  local owner = redis.call('HGET', KEYS[i], 'owner') or ARGV[10]
  if not told[owner] then
    told[owner] = true
    redis.call('PUBLISH', ARGV[8] .. owner .. ARGV[9], message)
  end
end
return {offset, 1}
