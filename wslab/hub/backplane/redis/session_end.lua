-- Forget a session, unless another node has it. KEYS: session. ARGV: the node's claim.
if redis.call('HGET', KEYS[1], 'claim') == ARGV[1] then
    return redis.call('DEL', KEYS[1])
end
return 0
