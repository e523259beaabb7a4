-- Who is connected at which node of a hub; presence.py says what for. One step each.
--
-- KEYS: nodes, renewed, and the beginnings of members:<node>, in:<room>, who:<name>. All have the
-- hub's hash tag. ARGV: what to do, and what that needs. A client's place is "<node>/<client id>".
-- A record is strings with their lengths before them: see packing.py.
local nodes, renewed, members, rooms, who = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local what, node = ARGV[1], ARGV[2]

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function unpacked(record)
  local parts, at = {}, 1
  while at <= #record do
    local colon = string.find(record, ':', at, true)
    local size = tonumber(string.sub(record, at, colon - 1))
    parts[#parts + 1] = string.sub(record, colon + 1, colon + size)
    at = colon + size + 1
  end
  return parts
end

-- A record: user_id, name, since, rooms...
local function forget(of, id)
  local record = redis.call('HGET', members .. of, id)
  if not record then return end
  local place, parts = of .. '/' .. id, unpacked(record)
  redis.call('ZREM', who .. id, place)
  redis.call('ZREM', who .. parts[1], place)
  for i = 4, #parts do redis.call('SREM', rooms .. parts[i], place) end
  redis.call('HDEL', members .. of, id)
  return record
end

local function remember(id, record)
  local place, parts = node .. '/' .. id, unpacked(record)
  redis.call('ZADD', who .. id, parts[3], place)
  redis.call('ZADD', who .. parts[1], parts[3], place)
  for i = 4, #parts do redis.call('SADD', rooms .. parts[i], place) end
  redis.call('HSET', members .. node, id, record)
end

-- At most so many of a node's clients, which are forgotten: id, record, id, record...
local function take(of, count)
  local taken = {}
  local fields = redis.call('HSCAN', members .. of, 0, 'COUNT', count)[2]
  for i = 1, math.min(#fields, 2 * count), 2 do
    taken[#taken + 1] = fields[i]
    taken[#taken + 1] = forget(of, fields[i])
  end
  return taken
end

-- Note that some node lives. Where none at all has shown that for long, Redis was away, or its clock
-- was set: no lease has run meanwhile.
local function live(now, lease_ms, away_ms)
  local last = tonumber(redis.call('GET', renewed)) or 0
  if now < last or now - last > away_ms then
    for _, each in ipairs(redis.call('ZRANGE', nodes, 0, -1)) do
      redis.call('ZADD', nodes, now + lease_ms, each)
    end
  end
  redis.call('SET', renewed, now)
end

if what == 'register' then -- lease_ms, away_ms
  local now, lease_ms = now_ms(), tonumber(ARGV[3])
  live(now, lease_ms, tonumber(ARGV[4]))
  redis.call('ZADD', nodes, now + lease_ms, node)
  return redis.call('HKEYS', members .. node)

elseif what == 'write' then -- id, record, ...; "" for who has gone
  if not redis.call('ZSCORE', nodes, node) then return 0 end -- taken for dead, and taken out
  for i = 3, #ARGV, 2 do
    forget(node, ARGV[i])
    if ARGV[i + 1] ~= '' then remember(ARGV[i], ARGV[i + 1]) end
  end
  return 1

elseif what == 'renew' then -- lease_ms, away_ms
  local now, lease_ms = now_ms(), tonumber(ARGV[3])
  live(now, lease_ms, tonumber(ARGV[4]))
  local is_known = redis.call('ZSCORE', nodes, node)
  if is_known then redis.call('ZADD', nodes, now + lease_ms, node) end
  return {is_known and 1 or 0, redis.call('ZCOUNT', nodes, '-inf', now)}

elseif what == 'sweep' then -- count
  local dead = redis.call('ZRANGEBYSCORE', nodes, '-inf', now_ms(), 'LIMIT', 0, 1)[1]
  if not dead then return {} end
  local taken = take(dead, tonumber(ARGV[3]))
  if redis.call('HLEN', members .. dead) == 0 then redis.call('ZREM', nodes, dead) end
  return {dead, taken}

elseif what == 'leave' then -- count
  take(node, tonumber(ARGV[3]))
  local left = redis.call('HLEN', members .. node)
  if left == 0 then redis.call('ZREM', nodes, node) end
  return left

elseif what == 'nodes' then -- those that live
  return redis.call('ZRANGEBYSCORE', nodes, '(' .. now_ms(), '+inf')

elseif what == 'room' then -- name: node, id, record, ... of those who are in it
  local lives, now, found = {}, now_ms(), {}
  for _, place in ipairs(redis.call('SMEMBERS', rooms .. ARGV[3])) do
    local slash = string.find(place, '/', 1, true)
    local of, id = string.sub(place, 1, slash - 1), string.sub(place, slash + 1)
    if lives[of] == nil then
      lives[of] = (tonumber(redis.call('ZSCORE', nodes, of) or 0) > now)
    end
    local record = lives[of] and redis.call('HGET', members .. of, id)
    if record then
      found[#found + 1] = of
      found[#found + 1] = id
      found[#found + 1] = record
    end
  end
  return found
end

return redis.error_reply('nothing that presence.lua does: ' .. what)
