-- Begin, or go on: a node is there (again) and says how far it has seen.
--
-- KEYS: epoch, counter.
-- ARGV: 1 a word for a new epoch, 2 the greatest offset that the node has seen, 3 what a new
-- epoch is ahead of that, since other nodes may have seen more.
-- Returns {the epoch ("<word>:<the offset before which nothing is in it>"), the counter, the time in
-- microseconds}.
local epoch = redis.call('GET', KEYS[1])
local counter, seen = redis.call('GET', KEYS[2]), ARGV[2]
local function greater(one, other)
  return #one > #other or (#one == #other and one > other)
end
if not epoch then
  if seen ~= '0' then
    seen = string.format('%.0f', tonumber(seen) + tonumber(ARGV[3]))
  end
  epoch = ARGV[1] .. ':' .. seen
  redis.call('SET', KEYS[1], epoch)
end
if not counter or greater(seen, counter) then
  redis.call('SET', KEYS[2], seen)
  counter = seen
end
local now = redis.call('TIME')
return {epoch, counter, now[1] .. string.format('%06d', now[2])}
