-- Which nodes can still answer: their lease runs, and they hear the channel on which they are asked.
--
-- KEYS: nodes, and the beginning of a node's channel. ARGV: the end of the channel's name, nodes.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local alive = {}
for i = 2, #ARGV do
  local leased = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i]) or 0) > now
  local heard = redis.call('PUBSUB', 'NUMSUB', KEYS[2] .. ARGV[i] .. ARGV[1])[2] > 0
  alive[i - 1] = {leased and 1 or 0, heard and 1 or 0}
end
return alive
