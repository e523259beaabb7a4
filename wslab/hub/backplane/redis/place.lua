-- Say how far the hub is now, and when that is.
--
-- KEYS: epoch, counter.
-- Returns {the epoch, the counter, the time in microseconds}.
local now = redis.call('TIME')
return {
  redis.call('GET', KEYS[1]) or '', redis.call('GET', KEYS[2]) or '0',
  now[1] .. string.format('%06d', now[2])
}
