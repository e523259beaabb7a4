-- Hands a question to the node of whoever it is for; questions.py says what for.
--
-- KEYS: nodes, and the beginnings of who:<name> and of a node's channel. ARGV: the name, the end of
-- the channel's name, and the question without whom it is for. Returns a node, and whether it has
-- heard it; nothing where nobody is there. Of several clients of one user, the last that came.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local deaf = nil

for _, place in ipairs(redis.call('ZREVRANGE', KEYS[2] .. ARGV[1], 0, 15)) do
  local slash = string.find(place, '/', 1, true)
  local node, id = string.sub(place, 1, slash - 1), string.sub(place, slash + 1)
  if tonumber(redis.call('ZSCORE', KEYS[1], node) or 0) > now then
    local question = '?' .. #id .. ':' .. id .. ARGV[3]
    if redis.call('PUBLISH', KEYS[3] .. node .. ARGV[2], question) > 0 then
      return {node, 1}
    end
    deaf = deaf or node
  end
end
return deaf and {deaf, 0} or {}
